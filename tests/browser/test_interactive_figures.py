"""The interactive figures: keyboard, mouse, finger, theme, paper, and no script at all."""

import pytest
from built import DESKTOP, PHONE, TOO_WIDE, axe, open_page, page_with, violations

# --- the interactive simplex


@pytest.fixture(scope="module")
def simplex(browser):
    tab = open_page(browser, page_with("simplex"), has_touch=True)
    tab.locator(".gs-simplex canvas").scroll_into_view_if_needed()
    yield tab
    assert tab.errors == []
    tab.context.close()


def said(tab):
    return tab.locator(".gs-simplex [role=status]").inner_text()


def at(tab, u, v):
    """A point of the canvas, in the window's pixels."""
    box = tab.locator(".gs-simplex canvas").bounding_box()
    return box["x"] + u * box["width"], box["y"] + v * box["height"]


def drawn(tab):
    return tab.locator(".gs-simplex canvas").evaluate("canvas => canvas.toDataURL()")


def test_simplex_obeys_the_keyboard(simplex):
    before = said(simplex)
    simplex.locator(".gs-simplex canvas").focus()
    simplex.keyboard.press("ArrowRight")
    moved = said(simplex)
    assert moved != before
    simplex.keyboard.press("ArrowLeft")
    assert said(simplex) == before

    warmth = simplex.locator(".gs-simplex output").inner_text()
    simplex.keyboard.press("Tab")  # to the slider
    for _ in range(20):
        simplex.keyboard.press("ArrowRight")
    assert float(simplex.locator(".gs-simplex output").inner_text()) > float(warmth)
    assert said(simplex) != before  # fewer samples near a corner

    picture = drawn(simplex)
    simplex.keyboard.press("Tab")  # to the box that shows the density
    simplex.keyboard.press("Space")
    assert drawn(simplex) != picture
    simplex.keyboard.press("Space")


def test_simplex_obeys_the_mouse(simplex):
    simplex.mouse.move(*at(simplex, 0.5, 0.6))
    simplex.mouse.down()
    middle = said(simplex)
    simplex.mouse.move(*at(simplex, 0.25, 0.75), steps=3)
    corner = said(simplex)
    simplex.mouse.up()
    assert middle != corner
    simplex.mouse.move(*at(simplex, 0.6, 0.6))
    assert said(simplex) == corner  # released


def test_simplex_obeys_a_finger_and_the_page_stays_where_it_is(simplex):
    simplex.set_viewport_size(PHONE)
    simplex.locator(".gs-simplex canvas").scroll_into_view_if_needed()
    start, end = at(simplex, 0.5, 0.4), at(simplex, 0.35, 0.8)
    scrolled = simplex.evaluate("window.scrollY")
    finger = simplex.context.new_cdp_session(simplex)
    texts = []
    for kind, point in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
        points = [{"x": point[0], "y": point[1]}] if point else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        texts.append(said(simplex))
    assert texts[0] != texts[1] == texts[2]
    assert simplex.evaluate("window.scrollY") == scrolled
    simplex.set_viewport_size(DESKTOP)


def test_simplex_follows_the_theme(simplex):
    light = drawn(simplex)
    simplex.emulate_media(color_scheme="dark")
    simplex.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    simplex.wait_for_function(
        "light => document.querySelector('.gs-simplex canvas').toDataURL() != light", arg=light
    )


# --- gradients against temperature


def text_of(tab, figure):
    return tab.locator(f".gs-{figure} [role=status]").inner_text()


@pytest.fixture
def variance(browser):
    tab = open_page(browser, page_with("variance"), has_touch=True)
    tab.locator(".gs-variance .gs-chart").scroll_into_view_if_needed()
    yield tab
    assert tab.errors == []
    tab.context.close()


def temperature(tab):
    return float(tab.locator(".gs-variance output").inner_text())


def test_variance_obeys_the_keyboard(variance):
    assert not variance.locator(".gs-variance img").is_visible()
    before = text_of(variance, "variance")
    variance.locator(".gs-variance input[type=range]").focus()
    variance.keyboard.press("ArrowLeft")
    assert temperature(variance) == pytest.approx(10**-0.05, abs=0.01)
    variance.keyboard.press("Home")
    assert temperature(variance) == pytest.approx(0.1)
    assert text_of(variance, "variance") != before
    cells = variance.locator(".gs-variance tbody tr").first.locator("td")
    cold = float(cells.nth(1).inner_text())
    variance.keyboard.press("End")
    assert temperature(variance) == pytest.approx(10)
    assert (
        float(cells.nth(1).inner_text()) < cold
    )  # the standard deviation falls with the temperature
    variance.keyboard.press("Home")
    variance.locator(".gs-variance input[type=radio]").nth(2).focus()
    variance.keyboard.press("ArrowRight")  # the mean of ten times as many draws
    assert float(cells.nth(1).inner_text()) == pytest.approx(cold / 10**0.5, rel=0.1)
    variance.locator(".gs-variance select").first.focus()
    variance.keyboard.press("ArrowUp")  # a linear loss, for which MuProp is perfect
    assert "(MuProp, ST)" in text_of(variance, "variance")


def test_variance_shows_the_newer_estimators_on_request(variance):
    rows = variance.locator(".gs-variance tbody th")
    paper = rows.all_inner_texts()
    variance.locator(".gs-variance select").nth(1).select_option("newer")
    newer = rows.all_inner_texts()
    assert [name for name in newer if name in paper] == paper[:2]
    assert any("ReinMax" in name for name in newer)
    assert len(newer) == 9
    assert variance.locator(".gs-variance .gs-chart .gs-line").count() == 3 * len(newer)
    variance.locator(".gs-variance select").nth(1).select_option("")
    assert rows.all_inner_texts() == paper


def test_variance_obeys_mouse_and_finger_and_the_page_stays_where_it_is(variance):
    box = variance.locator(".gs-chart").bounding_box()
    x, y = box["x"] + 60, box["y"] + 120
    variance.mouse.move(x, y)
    variance.mouse.down()
    first = temperature(variance)
    variance.mouse.move(x + 100, y, steps=3)
    second = temperature(variance)
    variance.mouse.up()
    variance.mouse.move(x + 10, y)
    assert first < second == temperature(variance)

    variance.set_viewport_size(PHONE)
    variance.locator(".gs-chart").scroll_into_view_if_needed()
    box, scrolled = (
        variance.locator(".gs-chart").bounding_box(),
        variance.evaluate("window.scrollY"),
    )
    y = max(box["y"], 120) + 100
    finger, seen = variance.context.new_cdp_session(variance), []
    for kind, x in (("touchStart", 100), ("touchMove", 250), ("touchEnd", None)):
        finger.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y}] if x else []},
        )
        seen.append(temperature(variance))
    assert seen[0] < seen[1] == seen[2]
    assert variance.evaluate("window.scrollY") == scrolled


# --- the code of a digit, with a model of random weights in place of the trained one


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    from interactive import script
    from test_latent import latent, stand_in

    path = stand_in(tmp_path_factory.mktemp("weights") / "model.safetensors")
    return script("gsLatent", latent.latent(path))


@pytest.fixture(scope="module")
def bench(browser, random_model):
    tab = open_page(browser, page_with("latent"), random_model, has_touch=True)
    yield tab
    assert tab.errors == []
    tab.context.close()


@pytest.fixture
def latent(bench):
    """The page with the code of a three."""
    bench.set_viewport_size(DESKTOP)
    for digit in (5, 3):
        bench.locator(f".gs-digits input[value='{digit}']").check()
    return bench


def decoded(tab):
    """The ink of the picture, from the transparency of its pixels."""
    image = "canvas.getContext('2d').getImageData(0, 0, 28, 28).data"
    return tab.locator(".gs-picture").evaluate(
        f"canvas => [...{image}].filter((_, i) => i % 4 == 3).map((a) => a / 255)"
    )


def code(tab):
    chosen = (
        "group => [...group.querySelectorAll('button')].findIndex((b) => b.ariaChecked == 'true')"
    )
    return tab.locator(".gs-switches [role=radiogroup]").evaluate_all(
        f"groups => groups.map({chosen})"
    )


def test_latent_decodes_as_torch_does(latent, random_model):
    import torch
    from test_latent import latent as tool
    from test_latent import read

    data = read(random_model)
    for digit in (3, 5):
        latent.locator(f".gs-digits input[value='{digit}']").check()
        assert code(latent) == data["codes"][digit]
        probabilities = tool.decode(data, torch.tensor(data["codes"][digit])).tolist()
        assert decoded(latent) == pytest.approx(probabilities, abs=0.01)


def test_latent_obeys_the_keyboard(latent):
    start, picture = code(latent), decoded(latent)
    assert latent.locator(".gs-switches [tabindex='0']").count() == 1
    latent.locator(".gs-walk input").focus()
    latent.keyboard.press("Tab")  # to the chosen class of the first unit
    latent.keyboard.press("ArrowRight")
    assert code(latent) == [(start[0] + 1) % 10, *start[1:]]
    assert decoded(latent) != picture
    assert f"Unit 1 is class {(start[0] + 1) % 10 + 1}" in text_of(latent, "latent")
    latent.keyboard.press("ArrowDown")
    latent.keyboard.press("ArrowLeft")
    assert code(latent) == [(start[0] + 1) % 10, (start[1] - 1) % 10, *start[2:]]
    latent.keyboard.press("ArrowRight")
    latent.keyboard.press("ArrowUp")
    latent.keyboard.press("ArrowLeft")
    assert code(latent) == start
    assert decoded(latent) == picture
    assert latent.locator(".gs-switches [tabindex='0']").count() == 1


def test_latent_obeys_mouse_and_finger(latent):
    start = code(latent)
    unused = [(k + 1) % 10 for k in start]
    switch = latent.locator(".gs-switches [role=radiogroup]")
    switch.nth(2).locator("button").nth(unused[2]).click()
    latent.set_viewport_size(PHONE)
    switch.nth(9).locator("button").nth(unused[9]).tap()
    changed = [*start[:2], unused[2], *start[3:9], unused[9], *start[10:]]
    assert code(latent) == changed
    assert (
        latent.locator(".gs-picture").bounding_box()["y"] > 50
    )  # in view below the bar of the page, with the switch


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_latent_walks_from_one_digit_to_another(latent, random_model, motion):
    from test_latent import read

    codes = read(random_model)["codes"]
    latent.emulate_media(reduced_motion=motion)
    latent.locator(".gs-walk select").select_option("7")
    button, slider = latent.locator(".gs-play"), latent.locator(".gs-walk input")
    length = sum(a != b for a, b in zip(codes[3], codes[7], strict=True))
    assert int(slider.get_attribute("max")) == length
    slider.press("ArrowRight")
    assert sum(a != b for a, b in zip(code(latent), codes[3], strict=True)) == 1
    button.click()
    if motion == "reduce":  # nothing moves by itself
        latent.wait_for_timeout(800)
        assert slider.input_value() == "2"
        slider.press("End")
    else:
        there = "n => document.querySelector('.gs-walk input').value == n"
        latent.wait_for_function(there, arg=str(length), timeout=20_000)
    assert code(latent) == codes[7]


def test_latent_is_accessible_and_fits_a_phone(browser, random_model):
    tab = open_page(browser, page_with("latent"), random_model, viewport=PHONE)
    axe(tab)
    assert (tab.evaluate(TOO_WIDE), violations(tab, "phone"), violations(tab, "light")) == (
        [],
        [],
        [],
    )
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function("document.documentElement.dataset.theme == 'dark'")
    assert violations(tab, "dark") == []
    tab.context.close()


@pytest.mark.parametrize("figure", ["variance", "latent"])
def test_what_stands_in_for_an_interactive_figure(browser, figure, random_model):
    """On paper, where scripts are off, and while there is no trained model."""
    still, live = f".gs-{figure} img", f".gs-{figure} .gs-live"
    tab = open_page(browser, page_with(figure), random_model)
    assert tab.locator(live).is_visible()
    assert not tab.locator(still).is_visible()
    tab.emulate_media(media="print")
    assert not tab.locator(live).is_visible()
    assert tab.locator(still).is_visible()
    tab.context.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(page_with(figure).as_uri())
    assert plain.locator(still).is_visible()
    plain.context.close()


def test_without_a_model_the_page_says_so(browser):
    none = "Object.defineProperty(window, 'gsLatent', {get: () => null, set: () => null})"
    tab = open_page(browser, page_with("latent"), none)
    assert "not trained yet" in tab.locator(".gs-latent .gs-live").inner_text()
    assert tab.errors == []
    tab.context.close()


@pytest.mark.parametrize("figure", ["variance", "latent"])
def test_interactive_figures_do_not_move_the_text_below(browser, figure, random_model):
    early = (
        "document.addEventListener('DOMContentLoaded', "
        "() => { window.early = document.querySelectorAll('.gs-live').length; })"
    )
    tab = open_page(browser, page_with(figure), random_model + early, viewport=PHONE)
    assert tab.evaluate("window.early") == 1  # before the parser shows anything of the page
    high = tab.locator(f"figure.gs-{figure}").bounding_box()["height"]
    tab.locator(f".gs-{figure} input[type=range]").press("End")
    assert tab.locator(f"figure.gs-{figure}").bounding_box()["height"] == high
    tab.context.close()
