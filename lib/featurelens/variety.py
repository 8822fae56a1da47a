"""What a scan finds on images of one kind only, against as many images of all kinds."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from featurelens import (
    extract,
    imagesets,
    kernels,
    outliers,
    preprocess,
    published_features,
    samplesize,
    scan_measures,
    zoo,
)
from featurelens.miniature import grown, sets, world

DOGS = slice(151, 269)  # of ImageNet's 1,000 classes, from Chihuahua to Mexican hairless
DRAWINGS = ("geirhos_edges", "geirhos_filled-silhouettes")
MINIATURE = (grown.COMPANION, grown.NAME, "supervised-resnet-s0")


class Kinds(NamedTuple):
    """A set of images of all kinds, and the features of those of one kind each.

    Attributes:
        name: of the encoder.
        kind: what sets the groups apart.
        pool_ND: features of all kinds, from which as many images as a group has are drawn at random.
        groups: kind -> features.
    """

    name: str
    kind: str
    pool_ND: torch.Tensor
    groups: dict[str, torch.Tensor]


def study(cases: Iterator[Kinds], samples: int = samplesize.SAMPLES, seed: int = 0) -> pd.DataFrame:
    """Return kurtosis, top share and outlier coordinates of each group and of as many mixed images.

    Columns: ``name``, ``kind``, ``group``, ``images``, ``kurtosis``, ``low`` and ``high`` (Student's interval
    of its mean over images of such a kind), ``share`` (of the top coordinate), ``outliers``; of all images of
    the pool ``pool_kurtosis``, ``pool_share``, ``pool_outliers``; over random
    samples of ``images`` images of the pool (with replacement, see :mod:`featurelens.samplesize`)
    ``mixed_low`` and ``mixed_high``, 2.5 % and 97.5 % quantile of the mean kurtosis, ``mixed_share``, 97.5 %
    quantile of the top share, and ``mixed_same``, share of samples that name the pool's outlier coordinates.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`.
    """
    rows = []
    for case in cases:
        pool, whole = samplesize.Population(case.pool_ND), _found(case.pool_ND)
        drawn = {}
        for size in {len(h_ND) for h_ND in case.groups.values()}:
            k_RN, share_R, same_R = pool.draw(size, samples, np.random.default_rng(seed))
            low, high = np.quantile(k_RN.mean(1), (0.025, 0.975))
            drawn[size] = {"mixed_low": low, "mixed_high": high, "mixed_same": same_R.mean()}
            drawn[size]["mixed_share"] = np.quantile(share_R, 0.975)
        for group, h_ND in case.groups.items():
            facts = {"name": case.name, "kind": case.kind, "group": group, "images": len(h_ND)}
            ends = scan_measures.student(kernels.activation_kurtosis(h_ND).double().numpy())
            pooled = {f"pool_{key}": value for key, value in whole.items()}
            rows.append(
                facts
                | dict(zip(("low", "high"), ends, strict=True))
                | _found(h_ND)
                | pooled
                | drawn[len(h_ND)]
            )
    return pd.DataFrame(rows)


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per encoder and kind: in how many groups a scan misleads about all kinds.

    Columns: ``groups``; ``interval misses``, those whose interval of the mean kurtosis does not hold that of
    all kinds; ``share above``, whose top share is above that of 97.5 % of random samples; ``other outliers``,
    whose outlier coordinates are not exactly those of all kinds.
    """
    pooled = table["pool_kurtosis"]
    counted = pd.DataFrame(
        {
            "groups": 1,
            "interval misses": (pooled < table["low"]) | (pooled > table["high"]),
            "share above": table["share"] > table["mixed_share"],
            "other outliers": table["outliers"] != table["pool_outliers"],
        }
    )
    return counted.groupby([table["name"], table["kind"]], sort=False).sum()


def published() -> Iterator[Kinds]:
    """Yield CLIP's text features of dogs.

    Raises:
        Unreachable: the features are neither in a mirror nor downloadable.
    """
    names_ND = published_features.load("clip-b32/imagenet-photo")
    yield Kinds("clip-b32/imagenet-photo", "subject", names_ND, {"names of dogs": names_ND[DOGS]})


def supervised() -> Iterator[Kinds]:
    """Yield EfficientNet-Lite0's features of drawings, of one shape, of one texture.

    Raises:
        Unreachable: images or weights are not here.
    """
    name = outliers.SUPERVISED[0]
    encoder = outliers.supervised_encoders()[name]
    photos_ND = extract.features(encoder, imagesets.load(outliers.SAMPLE)).h_ND
    # Geirhos et al.'s stimuli are taken whole, as in chapter 2.
    whole = zoo.load(name, preprocess=preprocess.square(encoder.module.pretrained_cfg["input_size"][-1]))
    drawn = {each: extract.features(whole, imagesets.load(each)).h_ND for each in DRAWINGS}
    yield Kinds(name, "drawing", photos_ND, drawn)
    images = imagesets.load("geirhos_cue_conflict")
    found = extract.features(whole, images)
    shapes = [images.classes[y] for y in found.y_N.tolist()]
    textures = [images.attributes["texture"][i] for i in found.row_N.tolist()]
    few_N = _three_pictures([images.keys[i] for i in found.row_N.tolist()])
    few_ND, few = found.h_ND[few_N], [shapes[i] for i in few_N.tolist()]
    for kind, h_ND, labels in (
        ("shape", found.h_ND, shapes),
        ("shape, three pictures", few_ND, few),
        ("texture", found.h_ND, textures),
    ):
        yield Kinds(name, kind, found.h_ND, _split(h_ND, labels))


def miniature() -> Iterator[Kinds]:
    """Yield three networks' features, where their heads read: of one class, and of one style of drawing.

    Classes are those of ``base-val``, styles those of ``rendition``; of the CLIP networks the features before
    the projection come as well.
    """
    labels = {
        "class": ("base-val", [world.names("object")[i] for i in sets.load("base-val").pictures.object]),
        "style": ("rendition", [world.names("style")[i] for i in sets.load("rendition").pictures.style]),
    }
    for name in MINIATURE:
        encoder = zoo.load(f"miniature/{name}")
        for point in encoder.dims:
            for kind, (image_set, label_N) in labels.items():
                h_ND = extract.features(encoder, imagesets.load(f"miniature/{image_set}"), point=point).h_ND
                yield Kinds(f"{name} ({point})", kind, h_ND, _split(h_ND, label_N))


def _three_pictures(keys: Sequence[str]) -> torch.Tensor:
    """Which stimuli have one of the first three pictures of their shape: ``airplane10-bear2.jpg``, 10th.

    Every texture is from three pictures and every shape from ten, so that shapes would be more varied anyway.
    """
    parts = [re.match(r"(\D+)(\d+)-", Path(key).name).groups() for key in keys]
    numbers = {shape: sorted({int(n) for each, n in parts if each == shape}) for shape, _ in parts}
    return torch.tensor([i for i, (shape, n) in enumerate(parts) if int(n) in numbers[shape][:3]])


def _split(h_ND: torch.Tensor, labels: Sequence[str]) -> dict[str, torch.Tensor]:
    """Features of each label, in the order in which labels come up."""
    return {label: h_ND[torch.tensor([each == label for each in labels])] for label in dict.fromkeys(labels)}


def _found(h_ND: torch.Tensor) -> dict[str, float | str]:
    """Mean kurtosis, top share and outlier coordinates."""
    c_D, named = kernels.kurtosis_contributions(h_ND), sorted(kernels.outlier_coordinates(h_ND).tolist())
    outlying = " ".join(map(str, named)) or "none"
    return {"kurtosis": c_D.sum().item(), "share": (c_D.max() / c_D.sum()).item(), "outliers": outlying}
