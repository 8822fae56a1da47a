"""A run that is killed goes on as if it had not been; what is finished stays."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from featurelens.recipes import train as training
from featurelens.recipes.train import train

KILLED = Path(__file__).with_name("killed.py")
FILES = ("model.safetensors", "metrics.csv", "failures.csv")
TWO = {"kind": "contrastive", "caption": ["title"], "model": "tiny-vit", "log_every": 1, "epochs": 1}
DROPPING = {"kind": "contrastive", "caption": ["title", "tags"], "model": "tiny-dropping", "accumulate": 2}


def run_killed(world, toml, out, *steps):
    command = [sys.executable, KILLED, world, toml, out, *map(str, steps)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Saved every 3 steps, 4 steps an epoch: before the first state, right after one, and in the second epoch.
@pytest.mark.slow
def test_the_end_is_the_same_to_the_byte_after_sigkill(world, planned, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(planned(**DROPPING), whole)
    run_killed(world, tmp_path / "tiny.toml", broken, 2, 5, 7)
    for file in FILES:
        assert (broken / file).read_bytes() == (whole / file).read_bytes(), file
    assert not (broken / "state.pt").exists()


def test_a_run_interrupted_anywhere_goes_on_bit_by_bit(planned, tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    plan = planned(model="tiny-resnet", channels_last=True, flip=0.5)
    train(plan, whole)
    advance, validate = training._Run.advance, training._Run.validate
    for last in (1, 4, 6, 8):

        def stop(run, passes, last=last):
            if run.step == last:
                raise KeyboardInterrupt
            return advance(run, passes)

        def stop_late(run, last=last):
            if run.step == last:
                raise KeyboardInterrupt
            return validate(run)

        monkeypatch.setattr(training._Run, "advance", stop)
        monkeypatch.setattr(training._Run, "validate", stop_late)
        with pytest.raises(KeyboardInterrupt):
            train(plan, broken)
    # The last step was done: only the validation of the last epoch is left.
    assert torch.load(broken / "state.pt", weights_only=True)["step"] == 8
    monkeypatch.setattr(training._Run, "advance", None)
    monkeypatch.setattr(training._Run, "validate", validate)
    train(plan, broken)
    for file in FILES:
        assert (broken / file).read_bytes() == (whole / file).read_bytes(), file


def interrupted(plan, out, monkeypatch, step=5):
    advance = training._Run.advance

    def stop(run, passes):
        if run.step == step:
            raise KeyboardInterrupt
        return advance(run, passes)

    monkeypatch.setattr(training._Run, "advance", stop)
    with pytest.raises(KeyboardInterrupt):
        train(plan, out)
    monkeypatch.setattr(training._Run, "advance", advance)
    return (out / "state.pt").read_bytes()


@pytest.mark.parametrize("change", [{"model": "tiny-resnet"}, {"lr": 1e-3}, {"batch": 4}, {"seed": 4}])
def test_the_state_of_another_run_is_refused_and_left(change, planned, tmp_path, monkeypatch):
    out = tmp_path / "out"
    before = interrupted(planned(), out, monkeypatch)
    with pytest.raises(ValueError, match="belongs to another run") as error:
        train(planned(**change), out)
    assert next(iter(change)) in str(error.value) and "\n" not in str(error.value)
    assert (out / "state.pt").read_bytes() == before
    train(planned(workers=1, save_every=2), out)  # neither changes the result


def test_the_state_of_other_pictures_is_refused(planned, world, tmp_path, monkeypatch):
    import dataclasses

    out, plan = tmp_path / "out", planned()
    interrupted(plan, out, monkeypatch)
    fewer = dataclasses.replace(plan.train, facts={**plan.train.facts, "pictures": 31})
    with pytest.raises(ValueError, match="training data"):
        train(dataclasses.replace(plan, train=fewer), out)


def test_a_state_that_is_none_is_one_line(planned, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "state.pt").write_bytes(b"nothing of use")
    with pytest.raises(ValueError, match="expected the saved state of a run") as error:
        train(planned(), out)
    assert "\n" not in str(error.value) and (out / "state.pt").read_bytes() == b"nothing of use"


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_state(planned, tmp_path, monkeypatch):
    from featurelens.recipes import gradients

    out, labels = tmp_path / "out", gradients.labels
    calls = []

    def spoilt(*arguments):
        calls.append(0)
        return labels(*arguments) * (float("nan") if len(calls) == 6 else 1)

    monkeypatch.setattr(gradients, "labels", spoilt)
    with pytest.raises(
        FloatingPointError, match=r"finite loss, found nan at step 6; .*state.pt stays"
    ) as error:
        train(planned(), out)
    assert "\n" not in str(error.value)
    saved = torch.load(out / "state.pt", weights_only=True)
    assert saved["step"] == 4 and all(t.isfinite().all() for t in saved["network"].values())
    assert len((out / "metrics.csv").read_text().splitlines()) == 4  # heading, two rows, one epoch
    train(planned(), out)  # the fault was passing: it goes on


def test_a_gradient_that_is_not_finite_stops_the_run(planned, tmp_path):
    with pytest.raises(FloatingPointError, match=r"finite (loss|gradient), found .* at step"):
        train(planned(lr=1e30, epochs=4, warm_up=0), tmp_path / "out")


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(world, planned, tmp_path):
    train(planned(**TWO), tmp_path / "1")
    given = ["--imagenet", world / "train", "--val", world / "val", "--captions", world / "captions.json"]
    given += ["--classes", world / "classes.txt", "--out", tmp_path / "2", "--devices", 2]
    script = tmp_path / "command.py"
    script.write_text(
        "import sys, open_clip\nfrom featurelens.cli import app\n"
        f"open_clip.add_model_config({str(world / 'models')!r})\napp(sys.argv[1:])\n"
    )
    command = [sys.executable, script, "recipe", "run", tmp_path / "tiny.toml", *given]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.count("supervised") == 0 and done.stdout.count("batch 8 = 2 devices x 1 passes x 4") == 1
    )
    losses, accuracies = zip(*(table(tmp_path / devices / "metrics.csv") for devices in "12"), strict=True)
    assert len(losses[0]) == 4
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-4)
    assert accuracies[0] == accuracies[1]


def table(path):
    rows = [row.split(",") for row in path.read_text().splitlines()[1:]]
    return torch.tensor([float(row[2]) for row in rows if row[2]]), float(rows[-1][4])
