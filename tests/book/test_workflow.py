"""The workflow that builds and publishes the book does what the gate does, and no more."""

import re
from pathlib import Path

import pytest
import yaml
from repository import BRANCH

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def workflow():
    found = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    )
    return found | {"on": found.pop(True)}  # YAML 1.1 reads the word "on" as true


def steps(job):
    return [step.get("uses") or step["run"] for step in job["steps"]]


def test_workflow_does_what_the_gate_does(workflow):
    targets = [
        re.findall(r"^\s*make (\w+)", text, re.MULTILINE)
        for text in (
            (ROOT / ".ci" / "run").read_text(),
            "\n".join(steps(workflow["jobs"]["build"])),
        )
    ]
    assert targets[0] == ["lint", "test", "book", "browser"]
    assert targets[1] == [*targets[0], "pdf"]
    assert set(targets[1]) <= set(
        re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )


def test_workflow_may_do_no_more_than_it_must(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["build"]
    assert workflow["jobs"]["deploy"]["permissions"] == {"pages": "write", "id-token": "write"}
    assert "secrets" not in (ROOT / ".github" / "workflows" / "book.yml").read_text()


def test_workflow_deploys_main_alone(workflow):
    assert set(workflow["on"]) == {"push", "pull_request", "workflow_dispatch"}
    assert workflow["on"]["push"]["branches"] == [BRANCH]
    deploy = workflow["jobs"]["deploy"]
    assert deploy["needs"] == "build"
    assert (
        deploy["if"]
        == f"github.event_name != 'pull_request' && github.ref == 'refs/heads/{BRANCH}'"
    )
    assert {"group", "cancel-in-progress"} == set(workflow["concurrency"])


def test_workflow_uses_official_actions_and_caches_pip(workflow):
    used = [step for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [
        step["uses"]
        for step in used
        if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
    ] == []
    python = next(step["with"] for step in used if step["uses"].startswith("actions/setup-python"))
    assert python["cache"] == "pip"
    assert all((ROOT / path).is_file() for path in python["cache-dependency-path"].split())
    upload = next(
        step["with"] for step in used if step["uses"].startswith("actions/upload-pages-artifact")
    )
    assert upload["path"] == "_build/html"
