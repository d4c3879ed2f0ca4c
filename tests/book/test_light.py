"""Light pages: icons, a style sheet of what is used, the width of figures; the status page."""

import html
import json
import platform
import re
from pathlib import Path

import pytest

light = pytest.importorskip("light", reason="needs the book's toolchain: pip install .[book]")

import status  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def test_icons_are_pictures_in_the_page_and_an_unknown_one_is_warned_of(monkeypatch):
    html = light.lighten(
        '<i class="theme-switch fa-solid fa-moon  fa-lg" data-mode="dark"></i>', "x"
    )
    assert 'class="icon theme-switch"' in html
    assert 'data-mode="dark"' in html
    assert "<path" in html
    warned = []
    monkeypatch.setattr(light.LOGGER, "warning", lambda *words: warned.append(words))
    assert "<svg" not in light.lighten('<span class="fa-solid fa-spaceship"></span>', "x")
    assert "fa-spaceship" in str(warned)


def test_a_page_loads_one_style_sheet_and_the_search_only_where_it_is():
    head = "".join(
        f'<link href="../_static/{name}?v=1" rel="stylesheet" />\n'
        for name in ("styles/theme.css", "pygments.css", "mystnb.0af.css", "other.css")
    )
    scripts = (
        '<script src="../searchindex.js"></script>'
        '<script src="../_static/scripts/bootstrap.js?digest=1"></script>'
    )
    html = light.lighten(head + scripts, "notebooks/x")
    assert re.findall(r'href="([^"]+)"', html) == [
        "../_static/book-all.css",
        "../_static/other.css?v=1",
    ]
    assert "<script" not in html
    assert "searchindex.js" in light.lighten(scripts, "search")


def test_menus_open_without_a_script():
    menu = (
        '<button data-bs-toggle="dropdown" aria-expanded="false">x</button>'
        '<ul class="dropdown-menu"><li>a</li></ul>'
    )
    html = light.lighten(menu * 2, "x")
    assert re.findall(r'popovertarget="([^"]+)"', html) == ["menu-1", "menu-2"]
    assert re.findall(r'popover id="([^"]+)"', html) == ["menu-1", "menu-2"]


CSS = """@charset "UTF-8"; @import "a.css";
.used, .unused { color: red }
.unused:hover { color: blue }
a[href^="#x{}"] > b { content: "}{" }
:is(.unused, p) .used:not(.unused) { top: 0 }
@media (min-width: 1px) { .unused { left: 0 } }
@media print { .used { left: 1px } .unused { left: 2px } }
@font-face { font-family: "Font Awesome 6 Free"; src: url(x) }
@keyframes turn { from { top: 0 } to { top: 1px } }
.used::before { content: var(--pst-icon-github); right: 0 }
.used::after { right: 0; content: "\\f107" }
"""


def test_rules_that_no_page_can_use_go_and_all_others_stay():
    kept = light.purge(CSS, {"used"})
    assert ".used{color: red}" in kept
    assert 'a[href^="#x{}"] > b{content: "}{"}' in kept
    assert ":is(.unused, p) .used:not(.unused){top: 0}" in kept
    assert "@media print{.used{left: 1px}" in kept
    assert "@keyframes turn{from { top: 0 } to { top: 1px }}" in kept
    for gone in ("blue", "min-width", "left: 2px", "Font Awesome", "right: 0", "charset", "import"):
        assert gone not in kept
    assert light.purge(kept, {"used"}) == kept
    assert light.purge(CSS, {"used", "unused"}).count("unused") == CSS.count("unused")


@pytest.mark.parametrize(("size", "width"), [(12, 324), (9, 432), (18, 216)])
def test_the_width_that_a_figure_needs_is_that_of_its_smallest_text(tmp_path, size, width):
    path = tmp_path / f"{size}.svg"
    exponent = (
        f'<tspan style="font-size: {size}px">10</tspan><tspan style="font-size: 5px">2</tspan>'
    )
    path.write_text(
        '<svg viewBox="0 0 432 200"><text style="font-size: 20px">a</text>'
        f"<text>{exponent}</text></svg>"
    )
    assert light.legible(path) == width


def test_a_picture_without_text_needs_no_width(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text('<svg viewBox="0 0 432 200"><path d="M 0 0"/></svg>')
    assert light.legible(path) == 0
    assert light.legible(tmp_path / "a.png") == 0


# --- the status page


def test_status_lists_what_was_run_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(status, "FILE", tmp_path / "tested.json")
    here = f"| this build | {platform.python_version()} |"
    assert here in status.page()
    assert "| test |" not in status.page()
    run = {
        "python": "3.99.0",
        "versions": dict.fromkeys(status.VERSIONS, "1.0"),
        "system": "Linux",
        "date": "2031-01-01",
        "chapters": {
            "01_learning_from_data": {
                "passed": False,
                "seconds": 12.3,
                "sha256": status.sha256("01_learning_from_data"),
            },
            "03_gumbel_max": {"passed": True, "seconds": 9.0, "sha256": "of another chapter"},
        },
    }
    (tmp_path / "tested.json").write_text(json.dumps([run]))
    page = status.page()
    assert "Python 3.99.0, torch 1.0" in page
    assert "| test | 3.99.0 |" in page
    assert here in page
    assert page.count("12 s, FAILED") == 1
    assert page.count("| changed since |") == 1
    assert page.count("| –") == len(status.markup.chapters()) - 2


def test_a_second_run_of_an_environment_replaces_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(status, "FILE", tmp_path / "tested.json")
    results = iter([{"passed": False, "seconds": 1.0}, {"passed": True, "seconds": 2.0}])
    monkeypatch.setattr(status.markup, "chapters", lambda: {"01_learning_from_data": {}})
    monkeypatch.setattr(status, "run", lambda name: next(results))
    assert status.main() == 1
    assert status.main() == 0
    (entry,) = status.tested()
    assert entry["chapters"]["01_learning_from_data"] == {"passed": True, "seconds": 2.0}


@pytest.mark.parametrize(
    "hostile",
    [
        "<img src=x onerror=alert(1)>",
        "a\n\n```{include} /etc/hostname\n```\n",
        "[x](javascript:alert(1)) | **b** $c$ {doc}`d`",
    ],
)
def test_text_of_a_file_is_shown_and_nothing_more(hostile):
    shown = status.markup.plain(hostile)
    assert not set(shown) & set("<>`*[]{}|$\n\\")
    assert html.unescape(shown) == " ".join(hostile.split())
