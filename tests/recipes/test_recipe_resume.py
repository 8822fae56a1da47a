"""A run that is killed goes on as if it had not been; what is finished stays."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import kurtosis, write_recipe

from featurelens import recipes
from featurelens.recipes import train as training
from featurelens.recipes.train import train

FILES = ("model.safetensors", "metrics.csv", "failures.csv")
TEXTS = {"kind": "contrastive", "caption": ["title"]}
# Saved every 3 steps, 4 steps an epoch: killed in the second epoch, a step after the last saved state.
KILLED = {**TEXTS, "name": "tiny", "model": "tiny-dropping", "accumulate": 2}
VIT = {**TEXTS, "model": "tiny-vit", "log_every": 1, "epochs": 1}
RESNET = {"model": "tiny-resnet", "epochs": 1}


@pytest.fixture(scope="module")
def forked(world, tmp_path_factory):
    """Folder of what ``forked.py`` wrote."""
    root = tmp_path_factory.mktemp("forked")
    for name, values in {"killed": KILLED, "vit": VIT, "resnet": RESNET}.items():
        write_recipe(root / f"{name}.toml", **values)
    command = [sys.executable, Path(__file__).with_name("forked.py"), world, root]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (root / "stdout.txt").write_text(done.stdout)
    return root


@pytest.mark.slow
def test_the_end_is_the_same_to_the_byte_after_sigkill(forked, planned, tmp_path):
    whole, broken = tmp_path / "whole", forked / "killed"
    train(planned(**KILLED), whole)
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
def test_two_processes_give_the_losses_of_one(forked, planned, tmp_path):
    train(planned(**VIT), tmp_path / "1")
    assert (forked / "stdout.txt").read_text().count("batch 8 = 2 devices x 1 passes x 4") == 2  # two runs
    losses, accuracies = zip(
        *(table(out / "metrics.csv") for out in (tmp_path / "1", forked / "vit")), strict=True
    )
    assert len(losses[0]) == 4
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-4)
    assert accuracies[0] == accuracies[1]


@pytest.mark.slow
def test_two_processes_validate_the_network_that_is_saved(forked, world):
    last = (forked / "resnet" / "metrics.csv").read_text().splitlines()[-1].split(",")
    encoder = recipes.load(forked / "resnet" / "model.safetensors")
    for found, expected in zip(last[5:], kurtosis(encoder, world / "val").values(), strict=True):
        assert float(found) == pytest.approx(expected, rel=1e-4)


def table(path):
    rows = [row.split(",") for row in path.read_text().splitlines()[1:]]
    return torch.tensor([float(row[2]) for row in rows if row[2]]), float(rows[-1][4])
