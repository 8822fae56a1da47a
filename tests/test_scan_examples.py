"""Files to copy into a repository of one's own: they parse, and their commands do what they say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import made_features as made
import numpy as np
import pytest
import yaml

from featurelens import scan_fields, stamps
from featurelens.cli import app

EXAMPLES = stamps.root() / "examples"
WORKFLOW, ACTION = EXAMPLES / "scan-before-deployment.yml", EXAMPLES / "scan-action" / "action.yml"
each_file = pytest.mark.parametrize("path", [WORKFLOW, ACTION], ids=["workflow", "action"])
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
# What the action is given: the workflow has its conditions in the command.
CONDITIONS = "images<100 outliers>0 kurtosis_low>10"


def steps(path):
    found = yaml.safe_load(path.read_text("utf-8"))
    return found["runs"]["steps"] if "runs" in found else found["jobs"]["scan"]["steps"]


def commands(path, word):
    return [step["run"] for step in steps(path) if word in step.get("run", "")]


def execute(script, folder, **environment):
    """Run a step as the host does, with the command of this library; exit code and what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    given = {"GITHUB_STEP_SUMMARY": str(folder / "summary.md"), "COLUMNS": "130", "IMAGES": "", "PATH": path}
    command = ["bash", "--noprofile", "--norc", "-e", "-c", script]
    run = subprocess.run(
        command, cwd=folder, env=os.environ | given | environment, capture_output=True, text=True
    )
    return run.returncode, run.stdout + run.stderr


@each_file
def test_steps_are_actions_of_a_major_version_or_commands(path):
    for step in steps(path):
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v0"))
    last = steps(path)[-1]
    assert last["if"] == "always()" and last["with"]["path"].split() == ["scan.json", "scan.html", "scan.txt"]
    installed = commands(path, "pip install")
    assert len(installed) == 1 and "--editable" in installed[0]


def test_the_workflow_says_when_it_runs_and_what_it_may():
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    # YAML 1.1 reads the key "on" as true.
    assert "workflow_dispatch" in workflow[True] and workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["scan"]["timeout-minutes"]
    used = set(re.findall(r"\$\{?([A-Z_]+)", commands(WORKFLOW, "featurelens scan")[0]))
    assert used <= set(workflow["env"])


def test_every_value_of_the_action_is_an_input():
    action = yaml.safe_load(ACTION.read_text("utf-8"))
    used = set(re.findall(r"\$\{\{ inputs\.([\w-]+) \}\}", ACTION.read_text("utf-8")))
    assert used == set(action["inputs"]) and action["runs"]["using"] == "composite"
    called = re.search(r"with: (\{.+\})", ACTION.read_text("utf-8"))[1]
    assert set(yaml.safe_load(called)) <= used
    for condition in yaml.safe_load(called)["fail-if"].split():
        scan_fields.condition(condition)


@each_file
def test_options_are_those_of_the_command(path):
    import typer

    [script] = commands(path, "featurelens scan")
    known = {name for each in typer.main.get_command(app).commands["scan"].params for name in each.opts}
    assert set(re.findall(r"(?<!\S)(?:\$\{IMAGES:\+)?(--[\w-]+)", script)) - {"--"} <= known
    for condition in re.findall(r"--fail-if '([^']+)'", script):
        scan_fields.condition(condition)


@pytest.mark.slow
@needs_bash
@each_file
@pytest.mark.parametrize(
    ("features", "code", "says"),
    [
        (made.gaussian(), 0, "Pattern: no heavy tails"),
        (made.planted("constant offset"), 1, "outliers>0 holds: outliers is 1"),
        (made.gaussian(40), 1, "images<100 holds: images is 40"),
        (None, 2, "featurelens: expected a file, found nothing"),
    ],
    ids=["good", "outlier", "few images", "no file"],
)
def test_commands_end_as_they_should(path, features, code, says, tmp_path):
    if features is not None:
        np.save(tmp_path / "features.npy", features.numpy())
    [script] = commands(path, "featurelens scan")
    found, printed = execute(script, tmp_path, MODEL="features.npy", FAIL_IF=CONDITIONS)
    assert (found, says in printed) == (code, True), printed
    assert all((tmp_path / f"scan.{kind}").exists() == (code < 2) for kind in ("json", "html"))
    assert (tmp_path / "scan.txt").read_text() == printed
    [summary] = commands(path, "GITHUB_STEP_SUMMARY")
    assert execute(summary, tmp_path)[0] == 0
    assert (tmp_path / "summary.md").read_text() == f"```\n{printed}```\n"


@needs_bash
def test_a_folder_of_images_is_an_option_of_its_own(tmp_path):
    [script] = commands(WORKFLOW, "featurelens scan")
    found, printed = execute(script, tmp_path, MODEL="miniature/clip-web-resnet-s0", IMAGES="my photos")
    assert found == 2 and "unknown image set 'my photos'" in printed
