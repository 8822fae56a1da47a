"""Tables of chapter 2: kurtosis of real features, with the controls that say what it means."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch

from featurelens import extract, heads, imagesets, kernels, preprocess, published_features, scales, zoo
from featurelens.encoder import Encoder

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
ROTATIONS = 5
RANDOM_PAIRS = 200
COLUMNS = 256
SUPERVISED = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
# Stimuli of Geirhos et al. are judged whole, in 16 categories; the ImageNet sample with the own crop.
SAMPLE = "imagenet_sample1000"
STIMULI = ("geirhos_cue_conflict", "geirhos_edges", "geirhos_filled-silhouettes")


def summary(h_ND: torch.Tensor) -> dict[str, float | int | str]:
    """Return mean kurtosis with its ceiling and controls, and who causes it.

    ``p05`` to ``p95`` are quantiles over images; ``rotated`` is the mean over random rotations;
    ``outliers`` are the coordinates of :func:`featurelens.kernels.outlier_coordinates`; ``top_share`` and
    ``top2_share`` are the shares of the one and the two largest contributions, ``without_top`` and
    ``without_top2`` the kurtosis without those coordinates; ``leaders`` is the number of different
    coordinates that lie furthest from the mean in some image.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.activation_kurtosis`.
    """
    k_N, c_D = kernels.activation_kurtosis(h_ND), kernels.kurtosis_contributions(h_ND)
    outliers = sorted(kernels.outlier_coordinates(h_ND).tolist())
    width, (top, second) = h_ND.shape[1], c_D.topk(2).indices.tolist()
    return {
        "kurtosis": mean_kurtosis(h_ND),
        **{f"p{100 * q:02.0f}": k_N.double().quantile(q).item() for q in QUANTILES},
        "ceiling": width - 2 + 1 / (width - 1),
        "rotated": float(np.mean([rotated_kurtosis(h_ND, seed) for seed in range(ROTATIONS)])),
        "outliers": " ".join(map(str, outliers)) or "none",
        "top_coordinate": top,
        "top_share": (c_D[top] / c_D.sum()).item(),
        "top2_share": (c_D[[top, second]].sum() / c_D.sum()).item(),
        "without_top": mean_kurtosis(without(h_ND, [top])),
        "without_top2": mean_kurtosis(without(h_ND, [top, second])),
        "leaders": len((h_ND - h_ND.mean(1, keepdim=True)).abs().argmax(1).unique()),
    }


def mean_kurtosis(h_ND: torch.Tensor) -> float:
    """Return the mean over images of the activation kurtosis."""
    return kernels.activation_kurtosis(h_ND).double().mean().item()


def rotated_kurtosis(h_ND: torch.Tensor, seed: int) -> float:
    """Return the mean kurtosis after one random rotation."""
    return mean_kurtosis(kernels.random_rotation(h_ND, seed))


def distances(h_ND: torch.Tensor) -> torch.Tensor:
    """Return each coordinate's distance from its image's mean, in standard deviations: median over images."""
    std_N1, mean_N1 = torch.std_mean(h_ND.double(), 1, correction=0, keepdim=True)
    # Some columns at a time, which bounds the memory. torch's median of an even count is no mean of two.
    parts = [((part_NB - mean_N1) / std_N1).abs().numpy() for part_NB in h_ND.split(COLUMNS, dim=1)]
    return torch.from_numpy(np.concatenate([np.median(part_NB, axis=0) for part_NB in parts]))


def lead(h_ND: torch.Tensor) -> float:
    """Return how far the furthest coordinate is (:func:`distances`), in units of the median coordinate."""
    z_D = distances(h_ND)
    return (z_D.max() / z_D.quantile(0.5)).item()


def without(h_ND: torch.Tensor, coordinates: Iterable[int]) -> torch.Tensor:
    """Return the features without some of their coordinates."""
    keep_D = torch.ones(h_ND.shape[1], dtype=torch.bool)
    keep_D[list(coordinates)] = False
    return h_ND[:, keep_D]


def published() -> pd.DataFrame:
    """Return one row per published feature set: what it is, and its summary.

    Raises:
        Unreachable: a file is neither in a mirror nor downloadable.
    """
    rows = []
    for described in published_features.table().to_dict("records"):
        h_ND = published_features.load(described["name"])
        rows.append({**described, **summary(h_ND)})
    return pd.DataFrame(rows)


def profile(features: Mapping[str, torch.Tensor]) -> pd.DataFrame:
    """Return how far each coordinate of each feature set is from its image's mean, as :func:`distances`."""
    parts = []
    for name, h_ND in features.items():
        z_D = distances(h_ND).numpy().round(4)
        parts.append(pd.DataFrame({"name": name, "coordinate": np.arange(len(z_D)), "z": z_D}))
    return pd.concat(parts, ignore_index=True)


def concentration(h_ND: torch.Tensor) -> pd.DataFrame:
    """Return the share of the kurtosis that the ``coordinates`` largest contributions make up."""
    share_D = kernels.kurtosis_contributions(h_ND).sort(descending=True).values.cumsum(0)
    counts = np.unique(np.geomspace(1, len(share_D), 40).round().astype(int))
    return pd.DataFrame({"coordinates": counts, "share": (share_D / share_D[-1])[counts - 1].numpy()})


def concentrations(names: Sequence[str]) -> pd.DataFrame:
    """Return :func:`concentration` of published features and of the supervised encoders on the sample.

    Raises:
        Unreachable: features, images or weights are not here.
    """
    features = {name: published_features.load(name) for name in names}
    images = imagesets.load(SAMPLE)
    features |= {name: extract.features(e, images).h_ND for name, e in supervised_encoders().items()}
    parts = [concentration(h_ND).assign(name=name) for name, h_ND in features.items()]
    return pd.concat(parts, ignore_index=True)


def recall(score_NN: torch.Tensor) -> tuple[float, float]:
    """Return the share of rows whose largest score is on the diagonal, and of columns likewise."""
    own_N = torch.arange(len(score_NN))
    return tuple((score_NN.argmax(dim) == own_N).double().mean().item() for dim in (1, 0))


def retrieval(removals: dict[str, list[int]]) -> pd.DataFrame:
    """Return image-text retrieval among the 500 COCO pairs without some coordinates.

    Args:
        removals: label -> coordinates taken out of images and captions alike; two random coordinates
            (mean over 200 draws) are added as the control.

    Returns:
        removed, lengths (*kept*: of the unit vectors before the removal; *restored*: unit again),
        image_to_text and text_to_image (fractions).

    Raises:
        Unreachable: the features are neither in a mirror nor downloadable.
    """
    sides, random = _coco_pairs(), np.random.default_rng(0)
    pairs = [random.choice(sides[0].shape[1], 2, replace=False).tolist() for _ in range(RANDOM_PAIRS)]
    rows = []
    for removed, draws in {**{key: [js] for key, js in removals.items()}, "two at random": pairs}.items():
        for lengths, finish in (("kept", lambda h: h), ("restored", heads.unit)):
            left = ([finish(without(h_ND, js)) for h_ND in sides] for js in draws)
            found = np.mean([recall(image_ND @ text_ND.T) for image_ND, text_ND in left], axis=0)
            rows.append((removed, lengths, *found))
    return pd.DataFrame(rows, columns=["removed", "lengths", "image_to_text", "text_to_image"])


def retrieval_parts(coordinates: list[int]) -> pd.DataFrame:
    """Return retrieval without one *part* of what some coordinates add to the scores of the COCO pairs.

    An inner product over these coordinates is the sum of a part that depends on the caption alone (with
    the mean image), one that depends on the image alone, and their interplay, up to a constant.

    Raises:
        Unreachable: the features are neither in a mirror nor downloadable.
    """
    image_ND, text_ND = _coco_pairs()
    score_NN = image_ND @ text_ND.T
    a_NJ, b_NJ = image_ND[:, coordinates], text_ND[:, coordinates]
    parts = {
        "nothing": torch.zeros(1),
        "what depends on the caption alone": (a_NJ.mean(0) @ b_NJ.T)[None],
        "what depends on the image alone": (a_NJ @ b_NJ.mean(0))[:, None],
        "their interplay": (a_NJ - a_NJ.mean(0)) @ (b_NJ - b_NJ.mean(0)).T,
    }
    rows = [(removed, *recall(score_NN - part_NN)) for removed, part_NN in parts.items()]
    return pd.DataFrame(rows, columns=["removed", "image_to_text", "text_to_image"])


def _coco_pairs() -> list[torch.Tensor]:
    return [heads.unit(published_features.load(f"clip-b16/coco-{side}")) for side in ("images", "captions")]


def supervised() -> pd.DataFrame:
    """Return accuracy and kurtosis of EfficientNet-Lite on real image sets, one row each.

    Raises:
        Unreachable: an image set is not in ``FEATURELENS_IMAGES``, or the weights are not installed.
    """
    sets = [imagesets.load(name) for name in (SAMPLE, *STIMULI)]
    rows = []
    for name, encoder in supervised_encoders().items():
        size = encoder.module.pretrained_cfg["input_size"][-1]
        whole = zoo.load(name, preprocess=preprocess.square(size))
        for images in sets:
            rows.append({"model": name, **_judged(encoder if images.name == SAMPLE else whole, images)})
    return pd.DataFrame(rows)


def supervised_encoders() -> dict[str, Encoder]:
    """Return the supervised encoders by name.

    Raises:
        Unreachable: their weights are not installed.
    """
    try:
        return {name: zoo.load(name) for name in SUPERVISED}
    except ModuleNotFoundError as error:
        raise scales.Unreachable(str(error)) from error


def _judged(encoder: Encoder, images: imagesets.ImageSet) -> dict[str, float | int | str]:
    """Accuracy (and the share of texture decisions where shape and texture differ) and summary."""
    h_ND, y_N, row_N, _ = extract.features(encoder, images)
    scores_NC = heads.logits(h_ND, encoder.head.w_CD, encoder.head.b_C)
    shape_N, texture_N = y_N, None
    if images.name != SAMPLE:
        categories, group_C = heads.imagenet_groups("geirhos16")
        scores_NC = heads.grouped(scores_NC, group_C)
    if "texture" in images.attributes:
        texture_N = torch.tensor([categories.index(images.attributes["texture"][i]) for i in row_N.tolist()])
    asked_N = torch.ones(len(y_N), dtype=torch.bool) if texture_N is None else texture_N != shape_N
    said_N = scores_NC.argmax(1)[asked_N]
    share = {"accuracy": (said_N == shape_N[asked_N]).double().mean().item()}
    if texture_N is not None:
        share["texture"] = (said_N == texture_N[asked_N]).double().mean().item()
    facts = {"image_set": images.name, "images": len(h_ND), "classes": scores_NC.shape[1]}
    return {**facts, **share, "zeros": (h_ND == 0).double().mean().item(), **summary(h_ND)}
