"""Workflow files of a public host: they parse, and they do nothing but call targets of the Makefile."""

import re

import pytest
import yaml

from featurelens import stamps

WORKFLOWS = sorted((stamps.root() / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def targets():
    """Names before a colon at the start of a line of the Makefile."""
    rules = re.findall(r"^([\w-][\w -]*):(?!=)", (stamps.root() / "Makefile").read_text(), re.MULTILINE)
    return {name for rule in rules for name in rule.split()}


def steps(path):
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


def test_there_is_a_workflow_for_each_purpose():
    assert {path.stem for path in WORKFLOWS} == {"test", "site", "weekly", "gpu"}


@each_workflow
def test_a_step_is_an_action_or_calls_make(path):
    called = [step["run"] for step in steps(path) if "run" in step]
    assert called and all(re.fullmatch(r"make [\w-]+", command) for command in called), called
    assert {command.removeprefix("make ") for command in called} <= targets()


@each_workflow
def test_actions_are_of_a_major_version(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in used), used


@each_workflow
def test_a_workflow_says_when_it_runs_and_what_it_may(path):
    workflow = yaml.safe_load(path.read_text())
    # YAML 1.1 reads the key "on" as true.
    assert workflow[True] and workflow["permissions"]["contents"] == "read"
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())


def test_the_weekly_run_does_not_use_the_lock():
    (path,) = (path for path in WORKFLOWS if path.stem == "weekly")
    assert next(step["run"] for step in steps(path) if "run" in step) == "make env-newest"
    recipe = re.search(
        r"^env-newest:.*\n((?:\t.*\n)+)", (stamps.root() / "Makefile").read_text(), re.MULTILINE
    )
    assert "--upgrade" in recipe[1] and "requirements.lock" not in recipe[1]


def test_every_target_is_phony():
    phony = re.search(r"^\.PHONY: (.+)$", (stamps.root() / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert targets() == set(phony)
