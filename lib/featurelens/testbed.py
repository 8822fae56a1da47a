"""Published accuracies of some 330 models on ImageNet and five of its shifts, in one tidy table.

Three sources: the ImageNet testbed (the baselines that effective robustness is measured against), open_clip's
zero-shot results, and timm's results for supervised and finetuned models. All accuracies are fractions.

Source: Taori et al. 2020 and the repositories named in ``published.csv``.
"""

from pathlib import Path

import pandas as pd

from featurelens import published, robustness

SHIFTS = ("v2", "rendition", "sketch", "objectnet", "adversarial")
LABELS = {
    "val": "ImageNet",
    "v2": "ImageNet-V2",
    "rendition": "ImageNet-R",
    "sketch": "ImageNet-Sketch",
    "objectnet": "ObjectNet",
    "adversarial": "ImageNet-A",
}
# ImageNet-A keeps images that a ResNet-50 gets wrong, so accuracies bend where a model passes its accuracy:
# 76.13 % on all classes, 91.86 % on the 200 classes of ImageNet-A.
BENDS = {"val": 0.7613, "val-adversarial": 0.9186}
# Not below: at 0 % by construction, it has no logit.
FILTERED_AGAINST = "resnet50"

_TESTBED = {
    "val": "val",
    "v2": "imagenetv2-matched-frequency-format-val",
    "rendition": "imagenet-r",
    "sketch": "imagenet-sketch",
    "objectnet": "objectnet-1.0-beta",
    "adversarial": "imagenet-a",
    "val-rendition": "val-on-imagenet-r-classes",
    "val-objectnet": "val-on-objectnet-classes",
    "val-adversarial": "val-on-imagenet-a-classes",
}
_OPEN_CLIP = {
    "val": "ImageNet 1k",
    "v2": "ImageNet v2",
    "rendition": "ImageNet-R",
    "sketch": "ImageNet Sketch",
    "objectnet": "ObjectNet",
    "adversarial": "ImageNet-A",
}
_KINDS = {"STANDARD": "baseline", "MORE_DATA": "more-data", "ROBUST_INTV": "intervention"}
_TRAINED_ON = {"baseline": "ImageNet-1k", "more-data": "more than ImageNet", "intervention": "not recorded"}
_REGIMES = {
    "encoder": "clip-web",
    "zero-shot": "clip-web",
    "cross-check": "clip-web",
    "finetuned": "finetuned",
    "more-data": "supervised-web",
}
_TABLES = Path(__file__).parent / "tables"


def accuracies() -> pd.DataFrame:
    """Return one row per model and image set: model, origin, kind, data, regime, image_set, accuracy.

    ``kind`` is *baseline* (the models that lines are fitted to), *more-data* and *intervention* (the
    testbed's other families), *encoder* (the 16 CLIP encoders), *zero-shot* (open_clip's others),
    *cross-check* (CLIP as measured by the testbed), *supervised* or *finetuned* (timm).

    Raises:
        Unreachable: a table is neither in a mirror nor downloadable.
    """
    wide = pd.concat([_testbed(), _open_clip(), _timm()], ignore_index=True)
    wide["regime"] = wide["kind"].map(_REGIMES).fillna("supervised")
    described = ["model", "origin", "kind", "data", "regime"]
    long = wide.melt(described, list(_TESTBED), var_name="image_set", value_name="accuracy")
    # Accuracies on a shift's own classes serve the fits, and CLIP to compare; the table is long without
    # them. The testbed stores single precision, hence the rounding.
    unused = long["image_set"].str.startswith("val-") & ~long["kind"].isin(["baseline", "cross-check"])
    return long[~unused].dropna(subset="accuracy", ignore_index=True).round({"accuracy": 6})


def encoders() -> pd.DataFrame:
    """Return the 16 CLIP vision encoders, a row each; ``results_row`` is their name in open_clip's table."""
    return pd.read_csv(_TABLES / "clip16.csv")


def _testbed() -> pd.DataFrame:
    """The testbed's models of high enough accuracy, with its own selection of baselines."""
    top1 = pd.read_csv(published.fetch("testbed/top1"), index_col="model")
    wide = pd.DataFrame({name: top1[column] / 100 for name, column in _TESTBED.items()})
    family = pd.read_csv(_TABLES / "testbed_families.csv", index_col="model")["family_natural_shift"]
    wide = wide.assign(origin="testbed", kind=family.map(_KINDS)).rename_axis("model").reset_index()
    wide["data"] = wide["kind"].map(_TRAINED_ON)
    wide.loc[wide["model"].str.contains("clip_zeroshot"), ["kind", "data"]] = ["cross-check", "WIT-400M"]
    left_out = wide["model"].str.contains("aws|batch64|subsample") | (wide["val"] < 0.55)
    return wide[wide["kind"].notna() & ~left_out]


def _open_clip() -> pd.DataFrame:
    """open_clip's zero-shot results; a row that repeats another's accuracies is left out.

    Those are OpenAI's networks, listed under a plain and a -quickgelu name, and one DataComp pool.
    """
    table = pd.read_csv(published.fetch("openclip/results"))
    wide = pd.DataFrame({name: table[column] for name, column in _OPEN_CLIP.items()})
    wide = wide.assign(model=table["name"] + " " + table["pretrained"], origin="open_clip")
    listed = encoders()
    is_listed = wide["model"].isin(listed["results_row"] + " " + listed["tag"])
    wide["kind"] = is_listed.map({True: "encoder", False: "zero-shot"})
    prefixes = pd.read_csv(_TABLES / "pretraining.csv").itertuples(index=False)
    for prefix, data in reversed(list(prefixes)):  # the more particular prefixes come first and win
        wide.loc[table["pretrained"].str.startswith(prefix), "data"] = data
    return wide.sort_values("kind", kind="stable").drop_duplicates(list(_OPEN_CLIP))


def _timm() -> pd.DataFrame:
    """timm's results for the supervised and finetuned controls, which have no ObjectNet."""
    key = ["model", "img_size"]
    wide = pd.read_csv(_TABLES / "timm_controls.csv").set_index(key)
    for name in ("val", "v2", "rendition", "sketch", "adversarial"):
        top1 = pd.read_csv(published.fetch(f"timm/{name}")).set_index(key)["top1"]
        wide[name] = top1.reindex(wide.index) / 100
    wide = wide.reset_index().assign(origin="timm")
    wide["model"] += " " + wide["img_size"].astype(str) + " px"
    return wide.drop(columns="img_size")


def with_mean(accuracy: pd.DataFrame, image_sets: tuple[str, ...], name: str) -> pd.DataFrame:
    """Add, for each model measured on all ``image_sets``, its mean accuracy on them as image set ``name``."""
    chosen = accuracy[accuracy["image_set"].isin(image_sets)]
    others = [column for column in accuracy if column not in ("image_set", "accuracy")]
    by_model = chosen.groupby(others, sort=False, dropna=False)["accuracy"].agg(["size", "mean"])
    mean = by_model.loc[by_model["size"] == len(image_sets), "mean"].rename("accuracy").reset_index()
    return pd.concat([accuracy, mean.assign(image_set=name)], ignore_index=True)


def baseline_pairs(accuracy: pd.DataFrame, shift: str, base: str = "val") -> pd.DataFrame:
    """Return the baselines' pairs for one shift, without the model that ImageNet-A was filtered against."""
    paired = robustness.pairs(accuracy[accuracy["kind"] == "baseline"], base)
    keep = (paired["shift"] == shift) & ((shift != "adversarial") | (paired["model"] != FILTERED_AGAINST))
    return paired[keep]


def fit(accuracy: pd.DataFrame, shift: str, base: str = "val") -> robustness.Fit:
    """Return the baselines' fit for one shift: a line, and for ImageNet-A two segments."""
    pairs = baseline_pairs(accuracy, shift, base)
    if shift == "adversarial":
        return robustness.fit_segments(pairs["acc_in"], pairs["acc_shift"], BENDS[base])
    return robustness.fit_baseline(pairs["acc_in"], pairs["acc_shift"])


def fits(accuracy: pd.DataFrame) -> dict[str, robustness.Fit]:
    """Return the fit of every shift in the table, with accuracy on all of ImageNet's validation set as x."""
    shifts = [name for name in accuracy["image_set"].unique() if not name.startswith("val")]
    return {shift: fit(accuracy, shift) for shift in shifts}
