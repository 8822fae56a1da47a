"""Real encoders and their controls side by side: robustness from accuracies, signatures from features.

Accuracies on the shifts are other people's measurements; effective robustness and all signatures are
computed here, from the tables of chapters 1 to 3.
"""

from pathlib import Path

import pandas as pd

from featurelens import outliers, overlap, pruning, results, robustness, testbed

# timm has no ObjectNet: models are compared on the four shifts that all of them were measured on.
SHIFTS = ("v2", "rendition", "sketch", "adversarial")
_TABLES = Path(__file__).parent / "tables"


def effective_robustness() -> pd.DataFrame:
    """Return effective robustness of every published model, in points: a column per shift, and their mean.

    Raises:
        Unreachable: the table of chapter 1 is not there.
    """
    accuracy = results.bare(results.read("01-accuracy", "published"))
    paired = robustness.with_logit(robustness.pairs(accuracy, "val"))
    scored = robustness.score(paired, testbed.fits(accuracy))
    wide = scored.pivot_table("er", ["model", "kind", "data", "regime", "acc_in"], "shift")[list(SHIFTS)]
    wide = wide.dropna().assign(er=lambda table: table.mean(axis=1))
    return wide.rename_axis(columns=None).reset_index()


def towers() -> pd.DataFrame:
    """Return :func:`effective_robustness` of zero-shot encoders and their controls, with ``backbone``."""
    encoders = testbed.encoders().assign(model=lambda t: t["results_row"] + " " + t["tag"])
    timm = pd.read_csv(_TABLES / "timm_controls.csv")
    timm["model"] += " " + timm["img_size"].astype(str) + " px"
    named = pd.concat([encoders[["model", "backbone"]], timm[["model", "backbone"]]])
    return effective_robustness().merge(named, on="model", validate="one_to_one")


def signatures() -> pd.DataFrame:
    """Return the signatures of every real feature set whose encoder has published accuracies.

    One row per feature set: its encoder (``model``, ``label``, ``family``, ``regime``), ``er`` in points,
    ``kurtosis``, ``outlier_share`` (the largest share of one coordinate), ``rotated`` (kurtosis after a
    random rotation) and ``prunable``, the share of the head's directions that can go for two points of
    accuracy, where there are images to judge it by.

    Raises:
        Unreachable: a table of chapters 1 to 3 is not there.
    """
    kurtosis = results.bare(results.read("02-published-kurtosis", "published"))
    supervised = results.bare(results.read("02-published-supervised", "published"))
    supervised = supervised[supervised["image_set"] == outliers.SAMPLE]
    supervised = supervised.assign(name=supervised["model"], described="1,000 photographs", side="image")
    columns = ["name", "side", "described", "kurtosis", "top_share", "rotated"]
    measured = pd.concat([kurtosis[columns], supervised[columns]]).rename(
        columns={"name": "features", "top_share": "outlier_share"}
    )
    table = pd.read_csv(_TABLES / "feature_models.csv").merge(measured, on="features", how="left")
    table = table.merge(effective_robustness()[["model", "acc_in", "er"]], on="model", how="left")
    return table.merge(_prunable(), on="features", how="left")


def _prunable() -> pd.DataFrame:
    """Share of directions that can go for two points, in the order of importance."""
    task_of = {"caption of an image": "clip-b16/coco-images", "image of a caption": "clip-b16/coco-captions"}
    retrieval = pruning.long(results.bare(results.read("03-published-retrieval", "published")))
    retrieval = retrieval[retrieval["weights"] == "trained"].assign(features=lambda t: t["task"].map(task_of))
    supervised = pruning.long(results.bare(results.read("03-published-supervised", "published")))
    supervised = supervised[supervised["image_set"] == outliers.SAMPLE].rename(columns={"model": "features"})
    curves = pd.concat([retrieval, supervised]).query("order == 'importance'")
    found = pruning.prunable(curves[["features", "k", "accuracy"]].dropna(), losses=(0.02,))
    return found.rename(columns={"prunable 2": "prunable"})[["features", "prunable"]]


def paper_counts() -> pd.DataFrame:
    """Return the paper's numbers of encoded concepts beside the mean effective robustness of such models.

    The counts are the authors' (:func:`featurelens.overlap.paper`), not computed here; ``er`` is ours, the
    mean over published models of that backbone and regime (OpenAI's weights where there are several), and
    missing where none is published.

    Raises:
        Unreachable: the table of chapter 1 is not there.
    """
    models = towers()
    is_openai = models["model"].str.contains("openai") & ~models["model"].str.contains("in12k")
    models = models[is_openai | (models["data"] == "ImageNet-1k")]
    kind = models["kind"].replace({"encoder": "zero-shot"})
    er = models.groupby([models["backbone"], kind])["er"].mean().rename("er")
    rows = [
        {
            "backbone": backbone.replace("/", "-"),
            "kind": kind,
            "concepts": count,
            "unique": found.unique[kind],
        }
        for backbone, found in overlap.paper().items()
        for kind, count in found.totals.items()
    ]
    return pd.DataFrame(rows).join(er, on=["backbone", "kind"])
