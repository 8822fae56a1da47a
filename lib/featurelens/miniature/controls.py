"""The signatures of all chapters side by side, one row per trained network of the miniature.

Nothing is measured here: the tables of chapters 1 to 4 are read and joined.
"""

import pandas as pd

from featurelens import concepts, pruning, results, robustness
from featurelens.miniature import privileged, sets

KEY = ["model", "regime", "backbone", "seed"]
# What each chapter calls a sign of robustness, and how the page names it.
SIGNATURES = {
    "kurtosis": "activation kurtosis",
    "outlier_share": "largest share of one coordinate in the kurtosis",
    "importance": "share of the most important direction",
    "prunable": "prunable share of the directions",
    "encoded": "encoded concepts",
    "unique": "unique concepts",
    "polysemanticity": "concepts per detecting direction",
}


def signature_table() -> pd.DataFrame:
    """Return accuracy, effective robustness and all signatures of every trained network.

    ``er`` is the mean over the shifts, ``er_<shift>`` one shift, in points. ``kurtosis`` and
    ``outlier_share`` are taken where the head reads, and in ``kurtosis_pre`` before the projection.
    ``importance`` belongs to the most important direction; ``prunable`` is the share of directions that can
    go for one point of accuracy; ``encoded`` counts concepts with an average precision of 0.9 against
    balanced negatives before the projection; ``unique`` those that no trained network of another regime,
    of the same backbone and seed, encodes where the heads read; ``polysemanticity`` is the mean number of
    concepts of a coordinate that detects any.

    Raises:
        Unreachable: a table of chapters 1 to 4 is not there.
    """
    table = _robustness()
    for part in (_kurtosis(), _importance(), _prunable(), _encoded(), _polysemanticity()):
        table = table.merge(part, on="model", validate="one_to_one")
    return table.merge(_unique(table), on="model", validate="one_to_one")


def _read(name: str) -> pd.DataFrame:
    return results.bare(results.read(name, "miniature"))


def _robustness() -> pd.DataFrame:
    accuracy = _read("01-miniature-accuracy")
    paired = robustness.pairs(accuracy[accuracy["kind"] == "zoo"], "base-val")
    scored = robustness.score(robustness.with_logit(paired), privileged.baseline_fits())
    wide = scored.pivot_table("er", [*KEY, "acc_in"], "shift", sort=False)[list(sets.SHIFTS)]
    wide = wide.add_prefix("er_").assign(er=wide.mean(axis=1))
    return wide.rename_axis(columns=None).reset_index().rename(columns={"acc_in": "accuracy"})


def _kurtosis() -> pd.DataFrame:
    measured = _read("02-miniature-kurtosis").set_index(["model", "point"])
    at_head = _read("03-miniature-directions").set_index(["model", "point"])
    chosen = measured.loc[at_head.index, ["kurtosis", "top_share"]].reset_index("point", drop=True)
    pre = measured["kurtosis"].xs("pre", level="point").rename("kurtosis_pre")
    return chosen.rename(columns={"top_share": "outlier_share"}).join(pre).reset_index()


def _importance() -> pd.DataFrame:
    return _read("03-miniature-directions")[["model", "top_share"]].rename(
        columns={"top_share": "importance"}
    )


def _prunable() -> pd.DataFrame:
    curves = pruning.long(_read("03-miniature-curves"))
    curves = curves[(curves["order"] == "importance") & (curves["image_set"] == "base-val")]
    share = pruning.prunable(curves[[*KEY, "k", "accuracy"]], losses=(0.01,))
    return share[["model", "prunable 1"]].rename(columns={"prunable 1": "prunable"})


def _encoded() -> pd.DataFrame:
    counts = _read("04-miniature-counts")
    where = {"point": "pre", "kind": "features", "negatives": "balanced", "threshold": concepts.THRESHOLD}
    for column, value in where.items():
        counts = counts[counts[column] == value]
    return counts[["model", "count"]].rename(columns={"count": "encoded"})


def _polysemanticity() -> pd.DataFrame:
    mixture = _read("04-miniature-mixture").query("kind == 'features'")
    return mixture[["model", "concepts"]].rename(columns={"concepts": "polysemanticity"})


def _unique(networks: pd.DataFrame) -> pd.DataFrame:
    """Concepts of a network that its trained rivals of the same backbone and seed do not encode."""
    encoded = _read("04-miniature-best").set_index("concept")[networks["model"]] >= concepts.THRESHOLD
    rows = []
    for _, rivals in networks.groupby(["backbone", "seed"]):
        own = encoded[rivals["model"]]
        alone = own[own.sum(axis=1) == 1]
        rows += [{"model": model, "unique": int(alone[model].sum())} for model in own]
    return pd.DataFrame(rows)
