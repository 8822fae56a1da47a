"""When do outlier features appear? A designed sweep over the ways to train a miniature CLIP.

`sweep.csv` has a row for each run. Part ``screen`` is a two-level fractional factorial design: eight factors
in sixteen runs (2^(8-4), resolution IV: no main effect is mixed up with another, nor with a product of two),
with two seeds. The other parts change one thing at a time. A run leaves one table in
`data/miniature/sweep/`, under a key of its recipe and its training pictures.
"""

import hashlib
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from featurelens import atomic, checks, heads, kernels, outliers, paths, stamps
from featurelens.miniature import captions, evaluate, objectives, sets, train
from featurelens.miniature.recipes import Recipe
from featurelens.miniature.towers import Tower
from featurelens.miniature.world import table

PICTURES = 1024  # of each set measured on the way
SETS = ("base-val", "sketch")


@cache
def runs() -> dict[str, Recipe]:
    """Every run by name, in the order in which they are worth having."""
    out = {}
    for row in table("sweep").drop(columns="part").to_dict("records"):
        learned = {"logit_scale": None if row["logit_scale"] == "learned" else float(row["logit_scale"])}
        fixed = {"regime": "sweep", "objective": "contrastive", "shipped": False}
        out[row["name"]] = Recipe(**{**row, **learned, **fixed, "final_norm": bool(row["final_norm"])})
    return out


def run(name: str) -> Recipe:
    """One run.

    Raises:
        UnknownNameError: no such run; the message names the nearest.
    """
    return runs()[checks.known("sweep run", name, runs())]


def path(name: str) -> Path:
    """Table of a run: one row for each time it was measured."""
    return paths.data() / "miniature" / "sweep" / f"{name}.csv"


def key(name: str) -> str:
    """Hash of what a run depends on: its row of `sweep.csv` and its training pictures."""
    row = table("sweep").set_index("name").loc[name]
    return hashlib.sha256(f"{row.to_dict()} {sets.fingerprint(row.data)}".encode()).hexdigest()[:12]


@cache
def _measured() -> dict[str, tuple[sets.MiniSet, torch.Tensor]]:
    loaded = {name: sets.load(name, limit=PICTURES) for name in SETS}
    return {name: (data, captions.tokenize(data.captions())) for name, data in loaded.items()}


@torch.inference_mode()
def snapshot(tower: Tower) -> dict[str, float]:
    """What is measured of a network in training.

    Kurtosis at each feature point of the pictures and of their captions, the lead of the furthest
    coordinate (:func:`featurelens.outliers.lead`) and the largest share of one coordinate in the kurtosis;
    the modality gap, and the largest share of one coordinate in its squared length; all on ``base-val``.
    The logit scale; zero-shot accuracy on ``base-val`` and ``sketch``.
    """
    tower.eval()
    data, tokens_NL = _measured()["base-val"]
    h = evaluate.encode(tower, data)
    h["text"] = tower.text(tokens_NL)
    gap_D = kernels.gap_vector(h["joint"], h["text"])
    out = {"logit_scale": tower.log_scale.exp().item(), "gap": gap_D.norm().item()}
    out["gap_top_share"] = (gap_D.square().max() / gap_D.square().sum()).item()
    for point, h_ND in h.items():
        c_D = kernels.kurtosis_contributions(h_ND)
        out[f"kurtosis_{point}"], out[f"lead_{point}"] = c_D.sum().item(), outliers.lead(h_ND)
        out[f"top_share_{point}"] = (c_D.max() / c_D.sum()).item()
    w_CD = objectives.head(tower, data.classes).w_CD
    for name, (pictures, _) in _measured().items():
        h_ND = h["joint"] if name == "base-val" else evaluate.encode(tower, pictures)["joint"]
        out[f"accuracy_{name}"] = heads.accuracy(h_ND, w_CD, pictures.y_N)
    return {name: round(value, 5) for name, value in out.items()}


def pending() -> list[str]:
    """Runs that are not there, or were made from another recipe or other pictures."""
    return [name for name in runs() if not _made(name)]


def _made(name: str) -> bool:
    return path(name).exists() and set(pd.read_csv(path(name)).key) == {key(name)}


def execute(name: str) -> None:
    """Train one run, or go on with it, and write its table.

    Raises:
        UnknownNameError: no such run.
        FloatingPointError: its loss is not finite.
    """
    _, log = train.fit(run(name), snapshot)
    rows = pd.DataFrame(log).assign(key=key(name), torch=torch.__version__)
    atomic.write_text(path(name), rows.to_csv(index=False))
    train.forget(name)


def results() -> pd.DataFrame:
    """Every measurement of every run that is there, with the run's recipe beside it.

    ``logit_scale`` is the recipe's, *learned* or a number; ``logit_scale_now`` the one measured.
    """
    made = [name for name in runs() if path(name).exists()]
    logs = [pd.read_csv(stamps.read(path(name))).assign(name=name) for name in made]
    return pd.concat(logs, ignore_index=True).merge(table("sweep"), on="name", suffixes=("_now", ""))
