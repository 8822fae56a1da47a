"""A miniature network whose training was chosen, from the sweep, to grow outlier features, and a companion.

The network is a row of `singles.csv`. Its companion is the same backbone and seed on the same captions, with
a learned logit scale and larger batches.
"""

import pandas as pd
import torch

from featurelens import extract, heads, imagesets, kernels, outliers, zoo
from featurelens.miniature import captions, checkpoints, sets

NAME = "clip-outliers-resnet-s0"
COMPANION = "clip-web-resnet-s0"
SETS = ("base-val", "sketch")


@torch.no_grad()
def features(name: str) -> dict[str, torch.Tensor]:
    """Features of ``base-val``: *before the projection*, of *images* and *captions* in the joint space."""
    encoder, images = zoo.load(f"miniature/{name}"), imagesets.load("miniature/base-val")
    found = {point: extract.features(encoder, images, point=point).h_ND for point in ("pre", "joint")}
    text_ND = checkpoints.load(name).text(captions.tokenize(sets.load("base-val").captions()))
    return {"before the projection": found["pre"], "images": found["joint"], "captions": text_ND}


def kurtosis_table() -> pd.DataFrame:
    """Return :func:`featurelens.outliers.summary` and ``lead`` of both networks' features of each kind.

    ``gap_share`` is the share that the kind's top coordinate has in the squared length of the modality gap.
    """
    rows = []
    for name in (NAME, COMPANION):
        found = features(name)
        gap_D = kernels.gap_vector(found["images"], found["captions"])
        share_D = gap_D.square() / gap_D.square().sum()
        for kind, h_ND in found.items():
            row = {"model": name, "kind": kind, **outliers.summary(h_ND), "lead": outliers.lead(h_ND)}
            in_joint = kind in ("images", "captions")
            row["gap_share"] = share_D[row["top_coordinate"]].item() if in_joint else None
            rows.append(row | {"gap": gap_D.norm().item()})
    return pd.DataFrame(rows)


def removal_table() -> pd.DataFrame:
    """Return zero-shot accuracy of both networks without a coordinate of the joint space.

    ``removed`` is nothing, the top coordinate of images or of captions, both, or any other one (mean over
    all of them).
    """
    rows = []
    for name in (NAME, COMPANION):
        encoder, found = zoo.load(f"miniature/{name}"), features(name)
        tops = [outliers.summary(found[kind])["top_coordinate"] for kind in ("images", "captions")]
        others = [[j] for j in range(encoder.dims["joint"]) if j not in tops]
        removals = {
            "nothing": [[]],
            "top coordinate of images": [tops[:1]],
            "top coordinate of captions": [tops[1:]],
            "both": [tops],
            "any other": others,
        }
        for image_set in SETS:
            h_ND, y_N, *_ = extract.features(encoder, imagesets.load(f"miniature/{image_set}"), point="joint")
            for removed, draws in removals.items():
                cut = (
                    heads.accuracy(outliers.without(h_ND, js), outliers.without(encoder.head.w_CD, js), y_N)
                    for js in draws
                )
                accuracy = sum(cut) / len(draws)
                facts = {"model": name, "image_set": image_set, "removed": removed}
                rows.append({**facts, "accuracy": accuracy})
    return pd.DataFrame(rows)
