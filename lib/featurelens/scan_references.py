"""Reference models of a scan: signatures of networks whose robustness is known, and of some where it is not.

``tables/scan_references.csv`` is made from stored result tables by :func:`collect`, so that it goes where the
library goes; each row says which tables and commits it is from. ``python -m featurelens.scan_references``
writes it anew.
"""

from functools import cache
from pathlib import Path

import pandas as pd

from featurelens import atomic, results, zoo
from featurelens.scales import Unreachable

TABLE = Path(__file__).parent / "tables" / "scan_references.csv"
RULES = TABLE.with_name("scan_rules.csv")
SCALE, KURTOSIS, SIGNATURES = "paper", "02-paper-kurtosis", "05-paper-signatures"
OPENAI = "WIT-400M"  # the data of OpenAI's CLIP, as the zoo's tables call it
COLUMNS = ["world", "family", "label", "regime", "side", "described", "er", "kurtosis", "outliers"]
COLUMNS += ["outlier_share", "source", "computed_on", "commit"]


@cache
def table() -> pd.DataFrame:
    """Return one row per feature set.

    Columns: ``name``, ``world`` (*real* or *miniature*), ``family`` (what is no independent evidence: one
    maker's models; in the miniature one training regime), ``label``, ``regime``, ``side`` (image, text,
    video), ``described``, ``er`` (mean effective robustness in points, missing where it is not known),
    ``kurtosis``, ``outliers`` (number of outlier coordinates), ``outlier_share``, and the provenance.
    """
    return pd.read_csv(TABLE, dtype={"commit": str})


@cache
def rules() -> pd.DataFrame:
    """Return the rules by name, the main one first: ``column``, ``cut`` (missing: fitted), ``meaning``."""
    return _rules().drop(index="robust")


def robust_from() -> float:
    """Return the effective robustness, in points, from which on a reference counts as robust."""
    return float(_rules().loc["robust", "cut"])


def collect() -> pd.DataFrame:
    """Return the table as the stored results of chapters 2 and 5 give it, and those of the paper's scale.

    Raises:
        Unreachable: one of them is not there; of the paper's scale none need be.
    """
    return pd.concat([_real(), *_paper(), _miniature()], ignore_index=True)[["name", *COLUMNS]]


@cache
def _rules() -> pd.DataFrame:
    return pd.read_csv(RULES).set_index("rule")


def _real() -> pd.DataFrame:
    """Feature sets with a known robustness; of other models, and of random weights, those there are."""
    published, supervised = (
        results.read(f"02-published-{what}", "published") for what in ("kurtosis", "supervised")
    )
    signatures = results.read("05-published-signatures", "published").rename(columns={"features": "name"})
    supervised = supervised.rename(columns={"model": "name"}).merge(
        signatures[["name", "described"]], on="name"
    )
    supervised = supervised[supervised["image_set"] == "imagenet_sample1000"].assign(
        side="image", weights="trained"
    )
    measured = pd.concat([published, supervised], ignore_index=True)
    known = signatures[["name", "label", "family", "regime", "er", "commit"]].rename(
        columns={"commit": "judged"}
    )
    table = measured.merge(known, on="name", how="left")
    other = ~published["model"].isin(published.loc[published["name"].isin(known["name"]), "model"])
    kept = {*known["name"], *published.loc[other | (published["weights"] == "random"), "name"]}
    table = table[table["name"].isin(kept)]
    random, family = table["weights"] == "random", table["family"].fillna(table["model"])
    return _tidy(
        table.assign(
            world="real",
            label=table["label"].fillna(table["model"] + random.map({True: ", random weights", False: ""})),
            # What the zoo knows has one name here and at the paper's scale.
            family=family.mask(table["name"].isin(zoo.names()), table["name"].map(_family)),
            regime=table["regime"].mask(random, "random-init"),
            side=table["side"].str.removesuffix(" (by order)"),
        ),
        "02-published, 05-published-signatures",
    )


def _paper() -> list[pd.DataFrame]:
    """Encoders measured at the paper's scale, where their heads read; none if no such results are stored."""
    try:
        signatures, measured = (results.read(name, SCALE) for name in (SIGNATURES, KURTOSIS))
    except Unreachable:
        return []
    known = signatures[["model", "regime", "point", "er", "commit"]].rename(columns={"commit": "judged"})
    columns = ["model", "point", "images", "kurtosis", "top_share", "outliers", "computed_on", "commit"]
    table = known.merge(measured[columns], on=["model", "point"])
    named = table.assign(world="real", side="image", family=table["model"].map(_family))
    described = table["images"].map("{:,} ImageNet images".format)
    return [
        _tidy(
            named.assign(name="paper/" + table["model"], label=table["model"], described=described),
            f"{KURTOSIS}, {SIGNATURES}",
        )
    ]


def _family(model: str) -> str:
    """Encoders trained on the same data in the same way are one family; OpenAI's is that of chapter 5."""
    row = zoo.table().get(model)
    if row is None:
        return model
    if row["data"] == OPENAI and row["regime"] == "clip-web":
        return "CLIP"
    return f"{row['regime']} on {row['data']}"


def _miniature() -> pd.DataFrame:
    """The miniature's trained networks, where their heads read."""
    signatures = results.read("05-miniature-signatures", "miniature").rename(columns={"commit": "judged"})
    measured = results.read("02-miniature-kurtosis", "miniature")
    columns = ["model", "image_set", "kurtosis", "top_share", "outliers", "computed_on", "commit"]
    known = signatures[["model", "regime", "er", "kurtosis", "judged"]]
    table = known.merge(measured[columns], on="model", suffixes=("_judged", ""))
    same = (table["kurtosis"] - table["kurtosis_judged"]).abs() < 1e-6 * table["kurtosis"]
    named = table[same].assign(world="miniature", side="image", described="base-val")
    return _tidy(
        named.assign(name="miniature/" + named["model"], label=named["model"], family=named["regime"]),
        "02-miniature-kurtosis, 05-miniature-signatures",
    )


def _tidy(table: pd.DataFrame, source: str) -> pd.DataFrame:
    outliers = table["outliers"].astype(str).map(lambda named: len(named.replace("none", "").split()))
    commits = table["commit"] + table["judged"].map(
        lambda commit: f", {commit}" if isinstance(commit, str) else ""
    )
    return table.assign(outliers=outliers, outlier_share=table["top_share"], source=source, commit=commits)


if __name__ == "__main__":
    atomic.write_text(TABLE, collect().to_csv(index=False, lineterminator="\n"))
