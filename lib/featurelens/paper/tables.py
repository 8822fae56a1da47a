"""The tables of all encoders side by side, as the chapters show them."""

import pandas as pd

from featurelens import concepts, results, robustness, testbed, zoo
from featurelens.paper.measure import BASE
from featurelens.paper.names import SCALE
from featurelens.paper.run import Frames, Run, published_accuracy

# Table -> the frame of one encoder it is made of.
STACKED = {
    "01-paper-accuracy": "accuracy",
    "02-paper-kurtosis": "kurtosis",
    "03-paper-directions": "directions",
    "03-paper-curves": "curves",
    "03-paper-prunable": "prunable",
    "04-paper-concepts": "concepts",
    "04-paper-best": "best",
}
NAMES = [*STACKED, "01-paper-robustness", "05-paper-signatures"]


def assembled(found: dict[str, Frames]) -> dict[str, pd.DataFrame]:
    """Return every table by its name, with ``model`` and ``regime`` in each row."""
    tables = {}
    for name, part in STACKED.items():
        frames = [
            frames[part].assign(model=model, regime=regime(model))
            for model, frames in found.items()
            if part in frames
        ]
        if frames:
            tables[name] = _first(pd.concat(frames, ignore_index=True))
    tables["01-paper-accuracy"] = _beside_published(tables["01-paper-accuracy"])
    if len(set(tables["01-paper-accuracy"]["image_set"])) > 1:
        tables["01-paper-robustness"] = effective_robustness(tables["01-paper-accuracy"])
    tables["05-paper-signatures"] = signatures(tables)
    return tables


def regime(model: str) -> str:
    """Training regime of an encoder of the zoo's table; *own* for any other."""
    return zoo.table().get(model, {}).get("regime", "own")


def store(run: Run, found: dict[str, Frames], seconds: float) -> dict[str, pd.DataFrame]:
    """Store the tables; rows of models that are not part of this run stay. Return what is now stored."""
    source = f"{len(found)} encoders on {', '.join(run.sets)}, prompts {run.templates}"
    return {
        name: results.keep(name, SCALE, frame, source, seconds, by="model")
        for name, frame in assembled(found).items()
    }


def effective_robustness(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return effective robustness under each shift, in points; missing where an accuracy has no logit."""
    fits = testbed.fits(published_accuracy())
    paired = robustness.pairs(accuracy[["model", "regime", "image_set", "accuracy"]], BASE)
    kept = [shift for shift in fits if shift in set(paired["shift"])]
    scored = [robustness.with_logit(paired[paired["shift"] == shift]) for shift in kept]
    parts = [robustness.score(rows, {shift: fits[shift]}) for shift, rows in zip(kept, scored, strict=True)]
    key = ["model", "shift"]
    table = (
        paired.merge(pd.concat(parts)[[*key, "er", "extrapolated"]], on=key, how="left") if parts else paired
    )
    return _first(table)


def signatures(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the signatures of every encoder beside its mean effective robustness, one row an encoder.

    ``er`` is the mean over the ``shifts`` where it is defined; ``kurtosis`` and ``outlier_share`` are taken
    where the head reads, ``importance`` is that of the most important direction, ``prunable`` for one point
    of accuracy in the order of importance. Where concepts were searched, ``encoded`` counts those that
    coordinates detect, ``unique`` those that no other encoder of the table encodes.
    """
    directions = tables["03-paper-directions"]
    table = directions[["model", "regime", "point", "top_share"]].rename(columns={"top_share": "importance"})
    measured = tables.get("01-paper-robustness", pd.DataFrame(columns=["model", "er"], dtype=float))
    er = measured.groupby("model")["er"].agg(er="mean", shifts="count")
    kurtosis = tables["02-paper-kurtosis"].set_index(["model", "point"])[["kurtosis", "top_share"]]
    kurtosis = kurtosis.rename(columns={"top_share": "outlier_share"})
    pruned = tables["03-paper-prunable"]
    pruned = pruned[(pruned["image_set"] == BASE) & (pruned["order"] == "importance")]
    table = table.join(er, on="model").fillna({"shifts": 0}).join(kurtosis, on=["model", "point"])
    table = table.join(pruned.set_index("model")["prunable 1"].rename("prunable"), on="model")
    if "04-paper-best" not in tables:
        return table
    encodes = tables["04-paper-best"]
    encodes = encodes[encodes["ap"] >= concepts.THRESHOLD]
    alone = encodes[~encodes.duplicated("concept", keep=False)]
    for column, rows in (("encoded", encodes), ("unique", alone)):
        counts = rows.groupby("model").size()
        table[column] = table["model"].map(counts).fillna(0).astype(int)
    return table


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
