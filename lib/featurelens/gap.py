"""The modality gap of published features, and how much of it lies along single coordinates.

Source: Liang et al., 2022, who published the features and found the gap already in untrained networks.
"""

import pandas as pd

from featurelens import kernels, outliers, published_features

NETWORKS = {"clip-b16": "trained", "clip-b16-random": "untrained"}


def published(coordinates: int = 10) -> pd.DataFrame:
    """Return the largest coordinates of the modality gap of CLIP ViT-B/16 on COCO, trained and untrained.

    Args:
        coordinates: how many, largest first.

    Returns:
        weights, gap (its length), rank (from 1), coordinate, share (of the squared length), ``outlier_of``:
        the side, *images* or *captions*, whose kurtosis has its largest part in this coordinate, if any.

    Raises:
        Unreachable: the features are neither in a mirror nor downloadable.
    """
    rows = []
    for network, weights in NETWORKS.items():
        sides = {side: published_features.load(f"{network}/coco-{side}") for side in ("images", "captions")}
        gap_D = kernels.gap_vector(*sides.values())
        share_D = gap_D.square() / gap_D.square().sum()
        first = {outliers.summary(h_ND)["top_coordinate"]: side for side, h_ND in sides.items()}
        for rank, j in enumerate(share_D.argsort(descending=True)[:coordinates].tolist(), start=1):
            facts = {"weights": weights, "gap": gap_D.norm().item(), "rank": rank, "coordinate": j}
            rows.append({**facts, "share": share_D[j].item(), "outlier_of": first.get(j, "none")})
    return pd.DataFrame(rows)
