"""Tables of chapter 3: the directions of real heads, how unequal they are, and where they point."""

import numpy as np
import pandas as pd
import torch

from featurelens import heads, kernels, outliers, prunability, pruning, published_features
from featurelens.kernels import Concentration

# Points of a spectrum that are stored: enough for a logarithmic axis.
GRID = 60


def sameness(u_C: torch.Tensor) -> float:
    """Return how equally a direction raises all classes: cos^2 between ``u`` and the constant vector.

    At 1 the direction adds the same score to each class, and no decision depends on it.
    """
    return (u_C.sum().square() / (len(u_C) * u_C.square().sum())).item()


def published_heads() -> dict[str, torch.Tensor]:
    """Return the heads that others published, rows of length 1: class names, prompts and captions.

    Raises:
        Unreachable: a file is neither in a mirror nor downloadable.
    """
    listed = published_features.table()
    text = listed[listed["side"] == "text"]
    return {name: heads.unit(published_features.load(name)) for name in text["name"]}


def learned_heads() -> dict[str, torch.Tensor]:
    """Return the last layers of the supervised encoders.

    Raises:
        Unreachable: their weights are not installed.
    """
    return {name: encoder.head.w_CD for name, encoder in outliers.supervised_encoders().items()}


def described(w_CD: torch.Tensor) -> dict[str, float | int | str]:
    """Return what the spectrum of a head looks like, and what its first direction is.

    ``top_share``, ``effective``, ``kurtosis`` describe the singular values; ``centred_…`` those of the head
    minus its mean row, ``random_…`` those of a Gaussian head with rows of the same lengths. ``cos_mean`` is
    ``|cos|`` of the first direction with the mean row, ``mean_length`` that row's length in mean row lengths,
    ``sameness`` of the first direction: see :func:`sameness`. ``outliers`` are the outlier coordinates of
    the rows (as :func:`featurelens.pruning.outliers` finds them), ``overlap`` the share of the first
    direction in them, ``largest_other_overlap`` the largest one of any other direction, and which.
    """
    own = kernels.directions(w_CD)
    mean_D, coordinates = w_CD.double().mean(0), pruning.outliers(w_CD)
    share_K = kernels.overlap(own, coordinates)
    rotated = kernels.directions(kernels.random_rotation(w_CD, seed=0))
    spectra = {
        "": own.s_K,
        "centred_": kernels.directions(w_CD - w_CD.mean(0)).s_K,
        "random_": kernels.directions(kernels.random_head(w_CD, seed=0)).s_K,
    }
    row = {"classes": len(w_CD), "width": w_CD.shape[1], "rank": own.rank, "first": own.s_K[0].item()}
    for prefix, s_K in spectra.items():
        concentration = kernels.concentration(s_K)
        row |= {prefix + field: getattr(concentration, field) for field in Concentration._fields}
    return row | {
        "cos_mean": (own.v_DK[:, 0] @ mean_D / mean_D.norm()).abs().item(),
        "mean_length": (mean_D.norm() / w_CD.double().norm(dim=1).mean()).item(),
        "sameness": sameness(own.u_CK[:, 0]),
        "has_outliers": bool(len(kernels.outlier_coordinates(w_CD))),
        "outliers": " ".join(map(str, sorted(coordinates))),
        "overlap": share_K[0].item(),
        "largest_other_overlap": share_K[1:].max().item(),
        "other": 2 + int(share_K[1:].argmax()),
        "rotated_overlap": kernels.overlap(rotated, coordinates)[0].item(),
    }


def signature(w_CD: torch.Tensor, h_ND: torch.Tensor) -> dict[str, float]:
    """Return concentration of importances and what the most important direction is.

    ``centred_…`` is the head minus its mean row, ``random_…`` a Gaussian head, for the same features;
    ``mean_length`` the length of the mean row in mean row lengths; ``sameness`` and ``overlap`` (with
    :func:`featurelens.pruning.outliers` of the features) are those of the most important direction,
    ``rotated_overlap`` the latter after one rotation of head and features.
    """
    variants = {
        "": (w_CD, h_ND),
        "centred_": (w_CD - w_CD.mean(0), h_ND),
        "random_": (kernels.random_head(w_CD, seed=0), h_ND),
        "rotated_": (kernels.random_rotation(w_CD, seed=0), kernels.random_rotation(h_ND, seed=0)),
    }
    row, first, coordinates = {}, {}, pruning.outliers(h_ND)
    for prefix, (matrix_CD, features_ND) in variants.items():
        own = kernels.directions(matrix_CD)
        i_K = kernels.importance(own, features_ND)
        first[prefix] = (own, int(i_K.argmax()))
        row |= {f"{prefix}{key}": value for key, value in kernels.concentration(i_K)._asdict().items()}
    for prefix in ("", "rotated_"):
        own, k = first[prefix]
        row[f"{prefix}overlap"] = kernels.overlap(own, coordinates)[k].item()
    own, k = first[""]
    row["mean_length"] = (w_CD.mean(0).norm() / w_CD.norm(dim=1).mean()).item()
    return row | {"sameness": sameness(own.u_CK[:, k])}


def head_table() -> pd.DataFrame:
    """Return :func:`described` for every published and every learned head.

    Raises:
        Unreachable: a file or the supervised encoders' weights are not here.
    """
    facts = published_features.table().set_index("name")
    columns = ["model", "weights", "described"]
    rows = [
        {"name": name, **facts.loc[name, columns], **described(w_CD)}
        for name, w_CD in published_heads().items()
    ]
    for name, w_CD in learned_heads().items():
        row = {
            "name": name,
            "model": name,
            "weights": "trained",
            "described": "1,000 ImageNet classes, learned",
        }
        rows.append(row | described(w_CD))
    return pd.DataFrame(rows)


def spectra(names: list[str]) -> pd.DataFrame:
    """Return singular values as shares of their sum: of heads, the same centred, and of a random head.

    Raises:
        Unreachable: as :func:`head_table`.
    """
    parts = []
    every = published_heads() | learned_heads()
    for name in names:
        w_CD = every[name]
        variants = {"as it is": w_CD, "centred": w_CD - w_CD.mean(0), "random": kernels.random_head(w_CD, 0)}
        for variant, matrix_CD in variants.items():
            s_K = kernels.directions(matrix_CD).s_K
            k = np.unique(np.geomspace(1, len(s_K), GRID).round().astype(int))
            share = (s_K / s_K.sum()).numpy()[k - 1]
            parts.append(pd.DataFrame({"name": name, "variant": variant, "k": k, "share": share}))
    return pd.concat(parts, ignore_index=True)


def overlaps(names: list[str]) -> pd.DataFrame:
    """Return the share of each direction in the outlier coordinates, before and after a rotation.

    Raises:
        Unreachable: as :func:`head_table`.
    """
    parts = []
    for name in names:
        w_CD = published_heads()[name]
        coordinates = pruning.outliers(w_CD)
        for variant, matrix_CD in {"as it is": w_CD, "rotated": kernels.random_rotation(w_CD, 0)}.items():
            share_K = kernels.overlap(kernels.directions(matrix_CD), coordinates).numpy()
            frame = pd.DataFrame({"k": np.arange(1, len(share_K) + 1), "overlap": share_K})
            parts.append(frame.assign(name=name, variant=variant))
    return pd.concat(parts, ignore_index=True)


def importances() -> pd.DataFrame:
    """Return importances of the directions of real heads for the features they score, sorted.

    Raises:
        Unreachable: features, images or weights are not here.
    """
    cases = {
        f"{network}: {task}": (head.w_CD, queries.h_ND)
        for network in ("clip-b16", "clip-b16-random")
        for task, (head, queries) in prunability.coco_pairs(network).items()
    }
    images_ND = published_features.load("clip-b16/coco-images")
    cases["clip-b16: class names"] = (published_features.load("clip-b16/coco-panoptic"), images_ND)
    for name in outliers.SUPERVISED:
        head, sets = prunability.supervised_sets(name)
        cases[name] = (head.w_CD, sets[outliers.SAMPLE].h_ND)
    parts = []
    for name, (w_CD, h_ND) in cases.items():
        variants = {
            "as it is": w_CD,
            "centred": w_CD - w_CD.mean(0),
            "rotated head": kernels.random_rotation(w_CD, 0),
            "random head": kernels.random_head(w_CD, 0),
        }
        for variant, matrix_CD in variants.items():
            i_K = kernels.importance(kernels.directions(matrix_CD), h_ND)
            found = kernels.concentration(i_K)._asdict()
            parts.append({"name": name, "variant": variant, "classes": len(w_CD)} | found)
    return pd.DataFrame(parts)
