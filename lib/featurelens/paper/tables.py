"""The tables of all encoders side by side, as the chapters show them.

A run adds its rows to what is stored; what compares encoders with one another is computed anew from all.
"""

from pathlib import Path

import pandas as pd

from featurelens import concepts, results, robustness, scales, testbed, zoo
from featurelens.paper.measure import BASE
from featurelens.paper.names import SCALE
from featurelens.paper.run import Frames, Run, published_accuracy

# Table -> the frame of one encoder it is made of, and the columns by which a run's rows replace stored ones.
# Pruning curves are megabytes a model: they stay in the store.
STACKED = {
    "01-paper-accuracy": ("accuracy", ("model", "image_set")),
    "02-paper-kurtosis": ("kurtosis", ("model", "point")),
    "03-paper-directions": ("directions", ("model",)),
    "03-paper-prunable": ("prunable", ("model", "image_set", "order")),
    "04-paper-concepts": ("concepts", ("model", "concept_set", "kind", "threshold")),
    "04-paper-best": ("best", ("model", "concept_set", "concept")),
}
ROBUSTNESS, SIGNATURES = "01-paper-robustness", "05-paper-signatures"
NAMES = [*STACKED, ROBUSTNESS, SIGNATURES]


def regime(model: str) -> str:
    """Training regime of an encoder of the zoo's table; *own* for any other."""
    return zoo.table().get(model, {}).get("regime", "own")


def store(run: Run, found: dict[str, Frames], seconds: float) -> dict[str, pd.DataFrame]:
    """Add the tables of a run's encoders to those that are stored; return what is now stored, by name."""
    tables = {}
    for name, (part, by) in STACKED.items():
        frames = [
            parts[part].assign(model=model, regime=regime(model))
            for model, parts in found.items()
            if part in parts
        ]
        if frames:
            frame = _first(pd.concat(frames, ignore_index=True))
            frame = _beside_published(frame) if part == "accuracy" else frame
            tables[name] = results.keep(name, SCALE, frame, source(run), seconds, by)
    whole = {name: results.bare(table) for name, table in (_stored() | tables).items()}
    accuracy = whole["01-paper-accuracy"]
    if len(set(accuracy["image_set"])) > 1:
        whole[ROBUSTNESS] = effective_robustness(accuracy)
    compared = {name: whole[name] for name in (ROBUSTNESS,) if name in whole}
    compared[SIGNATURES] = signatures(whole)
    for name, frame in compared.items():
        tables[name] = results.keep(name, SCALE, frame, f"the other tables of the {SCALE} scale", seconds)
    return tables


def source(run: Run) -> str:
    """What a run's numbers are computed from, one phrase."""
    sets = [*run.sets, *([Path(run.concepts).name] if run.concepts else [])]
    ways = f"prompts {run.templates}, computed in {run.precision}, stored in {run.store.precision}"
    return f"encoders of the zoo on {', '.join(sets)}; {ways}"


def _stored() -> dict[str, pd.DataFrame]:
    """The stacked tables of former runs."""
    found = {}
    for name in STACKED:
        try:
            found[name] = results.read(name, SCALE)
        except scales.Unreachable:
            continue
    return found


def effective_robustness(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return effective robustness under each shift, in points; missing where an accuracy has no logit."""
    fits = testbed.fits(published_accuracy())
    paired = robustness.pairs(accuracy[["model", "regime", "image_set", "accuracy"]], BASE)
    known = {shift: fit for shift, fit in fits.items() if shift in set(paired["shift"])}
    scored = robustness.score(robustness.with_logit(paired), known)
    key = ["model", "shift"]
    return _first(paired.merge(scored[[*key, "er", "extrapolated"]], on=key, how="left"))


def signatures(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the signatures of every encoder beside its mean effective robustness, one row an encoder.

    ``er`` is the mean over the ``shifts`` where it is defined; ``kurtosis`` and ``outlier_share`` are taken
    where the head reads, ``importance`` is that of the most important direction, ``prunable`` for one point
    of accuracy in the order of importance. Where concepts were searched, ``encoded`` counts those that
    coordinates detect, ``unique`` those that no other encoder of the table encodes; of several concept sets,
    the one that most encoders were searched for is taken.
    """
    directions = tables["03-paper-directions"]
    table = directions[["model", "regime", "point", "top_share"]].rename(columns={"top_share": "importance"})
    measured = tables.get(ROBUSTNESS, pd.DataFrame(columns=["model", "er"], dtype=float))
    er = measured.groupby("model")["er"].agg(er="mean", shifts="count")
    kurtosis = tables["02-paper-kurtosis"].set_index(["model", "point"])[["kurtosis", "top_share"]]
    kurtosis = kurtosis.rename(columns={"top_share": "outlier_share"})
    pruned = tables["03-paper-prunable"]
    pruned = pruned[(pruned["image_set"] == BASE) & (pruned["order"] == "importance")]
    table = table.join(er, on="model").fillna({"shifts": 0}).join(kurtosis, on=["model", "point"])
    table = table.join(pruned.set_index("model")["prunable 1"].rename("prunable"), on="model")
    return table if "04-paper-best" not in tables else _with_concepts(table, tables["04-paper-best"])


def _with_concepts(table: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    chosen = best.groupby("concept_set")["model"].nunique().idxmax()
    best = best[best["concept_set"] == chosen]
    encodes = best[best["ap"] >= concepts.THRESHOLD]
    alone = encodes[~encodes.duplicated("concept", keep=False)]
    searched = table["model"].isin(best["model"])
    for column, rows in (("encoded", encodes), ("unique", alone)):
        counts = table["model"].map(rows.groupby("model").size()).fillna(0)
        table[column] = counts.where(searched)  # missing where concepts were not searched
    return table.assign(concept_set=chosen)


def _first(table: pd.DataFrame) -> pd.DataFrame:
    """Model and regime first."""
    return table[["model", "regime", *(c for c in table if c not in ("model", "regime"))]]


def _beside_published(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Add ``published``: what others measured for the same weights and image set, where that is known."""
    listed = published_accuracy().set_index(["model", "image_set"])["accuracy"]
    encoders = testbed.encoders()
    known = dict(zip(encoders["name"], encoders["results_row"] + " " + encoders["tag"], strict=True))
    # timm's rows say the size of the picture; the encoders' own is 224.
    names = accuracy["model"].map(lambda name: known.get(name, f"{name.removeprefix('timm/')} 224 px"))
    return accuracy.assign(
        published=[listed.get(key) for key in zip(names, accuracy["image_set"], strict=True)]
    )
