"""What storing features in half the space costs: kurtosis and decisions after rounding.

Rounding to float16 keeps 11 significant bits, to bfloat16 8: a feature moves by at most 2^-11 or 2^-8 of
itself, an outlier like any other; in float16, below 6e-5, by up to 3e-8, which is all of a tiny feature.
Kurtosis is computed in float64 here; only what is stored is rounded.
"""

import pandas as pd
import torch

from featurelens import checks, heads, kernels, published_features
from featurelens.shards import DTYPES

OUTLIER = 100.0  # standard deviations of the other coordinates: kurtosis near its ceiling of D - 2


def effect(
    h_ND: torch.Tensor, w_CD: torch.Tensor | None = None, y_N: torch.Tensor | None = None
) -> pd.DataFrame:
    """Compare features with what is read back after storing them, one row for each type of storage.

    Args:
        h_ND: features, float32.
        w_CD: a head, kept in float32; the decision is the class of the largest score.
        y_N: class of each image, for the accuracy.

    Returns:
        stored, bytes (of one feature), kurtosis (mean over images), kurtosis_change (largest relative change
        over images), rounding (largest relative change of a feature that is not 0; 0 throughout where the
        features were published in that type), with a head changed (share of images that are decided
        otherwise), and with labels too accuracy (fraction).

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis` and
            :func:`featurelens.heads.accuracy`, or features beyond the range of a type.
    """
    h_ND = checks.features(h_ND).float()
    exact_N, filled_ND = kernels.activation_kurtosis(h_ND.double()), h_ND != 0
    rows = []
    for name, dtype in DTYPES.items():
        stored_ND = checks.features(h_ND.to(dtype), f"features stored as {name}")
        k_N = kernels.activation_kurtosis(stored_ND.double())
        row = {
            "stored": name,
            "bytes": dtype.itemsize,
            "kurtosis": k_N.mean().item(),
            "kurtosis_change": (k_N / exact_N - 1).abs().max().item(),
            "rounding": (stored_ND.double() / h_ND.double() - 1)[filled_ND].abs().max().item(),
        }
        if w_CD is not None:
            decided_N, before_N = heads.predict(stored_ND, w_CD), heads.predict(h_ND, w_CD)
            row["changed"] = (decided_N != before_N).double().mean().item()
        if w_CD is not None and y_N is not None:
            row["accuracy"] = heads.accuracy(stored_ND, w_CD, y_N)
        rows.append(row)
    return pd.DataFrame(rows)


def one_outlier(n_images: int = 500, width: int = 512, seed: int = 0) -> torch.Tensor:
    """Gaussian features (N x D) with coordinate 0 a hundred standard deviations off in each image."""
    h_ND = torch.randn(n_images, width, generator=torch.Generator().manual_seed(seed))
    h_ND[:, 0] += OUTLIER
    return h_ND


def published() -> pd.DataFrame:
    """Return :func:`effect` on each published feature set and on :func:`one_outlier`, three rows a set.

    Where a set of images comes with its captions, these are the head (rows of length 1): a zero-shot decision
    among 500 captions, right if it is the image's own.

    Raises:
        Unreachable: a file is neither in a mirror nor downloadable.
    """
    parts = [effect(one_outlier()).assign(name="one outlier", model="synthetic")]
    for described in published_features.table().to_dict("records"):
        name = described["name"]
        h_ND, own = published_features.load(name), name.replace("-images", "-captions")
        pair = ()
        if own != name and own in published_features.names():
            pair = (heads.unit(published_features.load(own)), torch.arange(len(h_ND)))
        parts.append(effect(h_ND, *pair).assign(name=name, model=described["model"]))
    table = pd.concat(parts, ignore_index=True)
    return table[["name", "model", *table.columns.drop(["name", "model"])]]
