"""The wheel and the source distribution, and the workflow that publishes them.

$DIST is a folder that has both, as `make dist` leaves them; without it, they are built here.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from alone import COLAB, environment, needed, run, show, variables
from sources import BUILT, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def build(kind, folder, source):
    """Build one kind, with the setuptools that is installed here."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("repository") / "copy", ignore=BUILT)


@pytest.fixture(scope="module")
def dist(repository, tmp_path_factory):
    """The folder with both; the wheel is made from what the source distribution holds."""
    if os.environ.get("DIST"):
        return Path(os.environ["DIST"]).resolve()
    folder = tmp_path_factory.mktemp("dist")
    build("sdist", folder, repository)
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(one(folder, "*.tar.gz")) as archive:
        archive.extractall(unpacked, filter="data")
    build("wheel", folder, one(unpacked, "*"))
    return folder


def one(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_there_is_one_of_each_and_it_is_this_edition(dist):
    name = f"{PROJECT['name'].replace('-', '_')}-{PROJECT['version']}"
    assert {path.name for path in dist.iterdir()} == {f"{name}.tar.gz", f"{name}-py3-none-any.whl"}


def test_the_wheel_from_the_source_distribution_is_that_of_the_repository(
    dist, repository, tmp_path
):
    build("wheel", tmp_path, repository)
    ours, theirs = names(one(dist, "*.whl")), names(one(tmp_path, "*.whl"))
    assert ours == theirs
    records = {path.relative_to(ROOT / "results") for path in ROOT.glob("results/*/[!.]*")}
    assert records
    assert {f"gsbook_results/{path.as_posix()}" for path in records} <= ours


def test_the_source_distribution_has_no_tests_that_lack_their_files(dist):
    with tarfile.open(one(dist, "*.tar.gz")) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert "tests" not in tops
    assert {"pyproject.toml", "README.md", "LICENSE", "gslib", "gsbook", "results"} <= tops


def test_metadata_name_the_licence_the_readme_and_lower_bounds(dist):
    with zipfile.ZipFile(one(dist, "*.whl")) as archive:
        file = next(name for name in archive.namelist() if name.endswith("dist-info/METADATA"))
        found = Parser().parsestr(archive.read(file).decode())
    assert (found["Name"], found["Version"]) == (PROJECT["name"], PROJECT["version"])
    assert found["License-Expression"] == "MIT"
    assert found["License-File"] == "LICENSE"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found.get_payload().strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    needs = [need.replace(" ", "") for need in found.get_all("Requires-Dist")]
    extras = [
        f'{need};extra=="{name}"'
        for name, listed in PROJECT["optional-dependencies"].items()
        for need in listed
    ]
    assert sorted(needs) == sorted(PROJECT["dependencies"] + extras)
    urls = dict(entry.split(", ") for entry in found.get_all("Project-URL"))
    assert urls == PROJECT["urls"]


def test_installed_in_an_empty_folder_it_does_what_the_readme_says(dist, tmp_path):
    shown = show(needed(*COLAB, *PROJECT["dependencies"]), tmp_path / "shown")
    python, site = environment(tmp_path / "environment", shown)
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, one(dist, "*.whl")], check=True, env=variables(""))
    (tmp_path / "empty").mkdir()
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)[1]
    printed = run(python, code + "\nprint(gslib.__file__)", tmp_path / "empty").splitlines()
    assert "tensor" in printed[-2]
    assert Path(printed[-1]).is_relative_to(site)


# --- the workflows


def workflow(name):
    found = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    return found | {"on": found.pop(True)}  # YAML 1.1 reads the word "on" as true


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_commit_and_names_its_release(path):
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (.+)", text)
    assert used
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [action for action in used if not pinned.fullmatch(action)] == []
    assert "secrets." not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_one_action_has_one_pin():
    used = {}
    for path in WORKFLOWS:
        for name, pin in re.findall(r"uses: (\S+?)@(.+)", path.read_text(encoding="utf-8")):
            used.setdefault(name, set()).add(pin)
    assert {name: pins for name, pins in used.items() if len(pins) > 1} == {}


def test_a_tag_publishes_what_was_built_and_tested_and_nothing_else_does():
    release = workflow("release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    jobs = release["jobs"]
    assert (jobs["publish"]["needs"], jobs["release"]["needs"]) == ("build", "publish")
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "pypi"
    assert jobs["release"]["permissions"] == {"contents": "write"}
    assert "permissions" not in jobs["build"]
    ran = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    tag = 'python book/tools/citation.py --check --tag "$GITHUB_REF_NAME"'
    assert ran == [tag, "make dist", "make translated"]
    for name in ("publish", "release"):  # they see the artifact alone, never the repository's code
        uses = [step["uses"] for step in jobs[name]["steps"] if "uses" in step]
        assert not any("checkout" in action for action in uses)
        assert "download-artifact" in uses[0]


@pytest.mark.parametrize(("tag", "passes"), [("v{}", True), ("{}", False), ("v{}1", False)])
def test_a_tag_of_another_edition_publishes_nothing(tag, passes):
    tool = [sys.executable, ROOT / "book" / "tools" / "citation.py"]
    tag = tag.format(PROJECT["version"])
    done = subprocess.run(
        [*tool, "--check", "--tag", tag], capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if passes else 1)
    assert (tag in done.stdout) == (not passes)
