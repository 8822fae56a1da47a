"""The sweep's design is what it says; a run resumes, is keyed by its recipe, and measures what it names."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from interruption import interrupt

from featurelens import checks, outliers
from featurelens.miniature import captions, checkpoints, evaluate, objectives, sets, sweep, train, world

FACTORS = (
    "backbone",
    "optimizer",
    "logit_scale",
    "weight_decay",
    "batch",
    "final_norm",
    "images_seen",
    "data",
)


def _signs(seed):
    """The screen as a matrix of -1 and +1, one column a factor."""
    design = world.table("sweep").query("part == 'screen' and seed == @seed")
    decay = (design.weight_decay > 0).astype(int)  # its value depends on the learning rate
    columns = [
        decay if name == "weight_decay" else design[name].astype("category").cat.codes for name in FACTORS
    ]
    return 2 * np.stack(columns, 1) - 1


@pytest.mark.parametrize("seed", [0, 1])
def test_the_screen_is_an_orthogonal_design_of_resolution_four(seed):
    x = _signs(seed)
    assert x.shape == (16, 8) and set(x.ravel()) == {-1, 1}
    assert np.array_equal(x.T @ x, 16 * np.eye(8, dtype=int)), "main effects are mixed up with one another"
    products = np.stack([x[:, i] * x[:, j] for i, j in combinations(range(8), 2)], 1)
    assert not (x.T @ products).any(), "main effects are mixed up with products of two"


def test_weight_decay_shrinks_alike_under_every_optimizer():
    design = world.table("sweep").query("part == 'screen' and weight_decay > 0")
    assert np.allclose(design.lr * design.weight_decay, 1e-3)


def test_every_run_can_be_built_and_has_the_scale_and_norm_of_its_row():
    rows = world.table("sweep").set_index("name")
    assert rows.index.is_unique
    for name, spec in sweep.runs().items():
        tower, row = checkpoints.build(spec), rows.loc[name]
        fixed = row.logit_scale != "learned"
        assert tower.log_scale.requires_grad != fixed
        assert tower.log_scale.exp().item() == pytest.approx(float(row.logit_scale) if fixed else 1 / 0.07)
        assert isinstance(tower.backbone.norm, torch.nn.LayerNorm) == bool(row.final_norm)
        assert train._optimizer(tower, spec).__class__.__name__.lower() == row.optimizer


@pytest.fixture
def laboratory(tmp_path, monkeypatch):
    """One short run on small sets, with tables of its own."""
    full, load = sweep.runs(), sets.load
    short = {"screen-07-s0": replace(full["screen-07-s0"], images_seen=1280, batch=64)}
    monkeypatch.setattr(sweep, "runs", lambda: short)
    monkeypatch.setattr(sweep, "path", lambda name: tmp_path / f"{name}.csv")
    monkeypatch.setattr(train.paths, "cache", lambda: tmp_path)
    monkeypatch.setattr(sets, "load", lambda name, limit=600, **k: load(name, limit=min(limit, 600), **k))
    sweep._measured.cache_clear()
    yield tmp_path
    sweep._measured.cache_clear()


def test_an_interrupted_run_ends_in_the_same_table(laboratory, monkeypatch):
    sweep.execute("screen-07-s0")
    whole = sweep.path("screen-07-s0").read_text()
    assert sweep.pending() == []
    calls = interrupt(monkeypatch, 11)
    with pytest.raises(KeyboardInterrupt):
        sweep.execute("screen-07-s0")
    sweep.execute("screen-07-s0")
    assert calls[10:12] == [10, 8], "it must go on from the last saved state"
    assert sweep.path("screen-07-s0").read_text() == whole
    assert not list(laboratory.glob("miniature/runs/*"))


def test_a_changed_row_makes_its_run_pending_again(laboratory, monkeypatch):
    sweep.execute("screen-07-s0")
    changed = world.table("sweep").assign(lr=0.123)
    monkeypatch.setattr(sweep, "table", lambda name: changed)
    assert sweep.pending() == ["screen-07-s0"]


def test_a_snapshot_measures_what_it_names():
    tower = checkpoints.load("clip-web-resnet-s0")
    found, data = sweep.snapshot(tower), sets.load("base-val", limit=sweep.PICTURES)
    h = evaluate.encode(tower, data)
    text_ND = tower.text(captions.tokenize(data.captions()))
    unit = [x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True) for x in (h["joint"], text_ND)]
    gap_D = unit[0].mean(0) - unit[1].mean(0)
    assert found["gap"] == pytest.approx(np.linalg.norm(gap_D), abs=1e-4)
    assert found["gap_top_share"] == pytest.approx(np.max(gap_D**2) / np.sum(gap_D**2), abs=1e-4)
    k_N = scipy.stats.kurtosis(text_ND.double().numpy(), axis=1, fisher=False)
    assert found["kurtosis_text"] == pytest.approx(k_N.mean(), abs=1e-3)
    assert found["lead_pre"] == pytest.approx(outliers.lead(h["pre"]), abs=1e-4)
    for name in sweep.SETS:
        pictures = sets.load(name, limit=sweep.PICTURES)
        w_CD = objectives.head(tower, data.classes).w_CD
        right_N = (evaluate.encode(tower, pictures)["joint"] @ w_CD.T).argmax(1) == pictures.y_N
        assert found[f"accuracy_{name}"] == pytest.approx(right_N.double().mean().item(), abs=2e-3)


def test_an_unknown_run_is_named_with_its_neighbours():
    with pytest.raises(checks.UnknownNameError, match="screen-07-s0"):
        sweep.execute("screen-7-s0")


def test_the_committed_tables_belong_to_the_rows_as_they_are():
    made = [name for name in sweep.runs() if sweep.path(name).exists()]
    assert made and not set(made) & set(sweep.pending())
    frame = sweep.results()
    assert set(frame.name) == set(made)
    last = frame.groupby("name").step.max()
    assert all(last[name] == sweep.run(name).steps for name in made)
    assert isinstance(frame, pd.DataFrame) and frame.loss.notna().sum() == len(frame) - len(made)
