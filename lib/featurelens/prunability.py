"""Tables of chapter 3: how many directions of real heads can go before accuracy does."""

import numpy as np
import pandas as pd
import torch

from featurelens import (
    extract,
    heads,
    imagesets,
    kernels,
    outliers,
    preprocess,
    pruning,
    published_features,
    zoo,
)
from featurelens.heads import LinearHead
from featurelens.pruning import Labelled

CLASS_COUNTS = (12, 25, 50, 100, 250, 500)
JUDGED = 500


def coco_pairs(network: str) -> dict[str, tuple[LinearHead, Labelled]]:
    """Return retrieval among COCO pairs as classification: head of all candidates, and queries.

    Raises:
        Unreachable: the features are neither in a mirror nor downloadable.
    """
    image_ND, text_ND = (
        heads.unit(published_features.load(f"{network}/coco-{side}")) for side in ("images", "captions")
    )
    y_N = torch.arange(len(image_ND))
    return {
        "caption of an image": (LinearHead(text_ND, None, "joint"), Labelled(image_ND, y_N)),
        "image of a caption": (LinearHead(image_ND, None, "joint"), Labelled(text_ND, y_N)),
    }


def retrieval() -> pd.DataFrame:
    """Return retrieval of trained and of random CLIP ViT-B/16 at every k, in the form of ``pruning.wide``.

    Raises:
        Unreachable: the features are neither in a mirror nor downloadable.
    """
    parts = []
    for network, weights in (("clip-b16", "trained"), ("clip-b16-random", "random")):
        for task, (head, queries) in coco_pairs(network).items():
            parts.append(
                pruning.wide(pruning.two_fold(head, {"pairs": queries})).assign(weights=weights, task=task)
            )
    return pd.concat(parts, ignore_index=True)


def supervised_sets(name: str) -> tuple[LinearHead, dict[str, Labelled]]:
    """Return a supervised encoder's head, and its features of the ImageNet sample and the shape stimuli.

    Raises:
        Unreachable: images or weights are not here.
    """
    encoder = outliers.supervised_encoders()[name]
    whole = zoo.load(name, preprocess=preprocess.square(encoder.module.pretrained_cfg["input_size"][-1]))
    _, group_C = heads.imagenet_groups("geirhos16")
    sets = {}
    for image_set in (outliers.SAMPLE, *outliers.STIMULI):
        base = image_set == outliers.SAMPLE
        found = extract.features(encoder if base else whole, imagesets.load(image_set))
        sets[image_set] = Labelled(found.h_ND, found.y_N, None if base else group_C)
    return encoder.head, sets


def supervised() -> pd.DataFrame:
    """Return accuracy of EfficientNet-Lite at every k, on base and stimuli, in the form of ``pruning.wide``.

    Raises:
        Unreachable: images or weights are not here.
    """
    parts = []
    for name in outliers.SUPERVISED:
        head, sets = supervised_sets(name)
        parts.append(pruning.wide(pruning.two_fold(head, sets)).assign(model=name))
    return pd.concat(parts, ignore_index=True)


def class_counts() -> pd.DataFrame:
    """Return how many directions can go, in the order of importance, for parts of two large heads.

    Some classes of a head are drawn, with the images of these; draws are repeated until 500 images were
    judged, since a few images cannot resolve one point of accuracy, and their counts added.

    Returns:
        As :func:`featurelens.pruning.prunable`, with ``task`` and ``classes``.

    Raises:
        Unreachable: features, images or weights are not here.
    """
    supervised_head, sets = supervised_sets(outliers.SUPERVISED[0])
    tasks = {
        "CLIP ViT-B/16: caption of an image": coco_pairs("clip-b16")["caption of an image"],
        "EfficientNet-Lite0: class of an image": (supervised_head, sets[outliers.SAMPLE]),
    }
    parts = []
    for task, (head, base) in tasks.items():
        for n_classes in CLASS_COUNTS:
            correct_K1 = sum(
                _correct_by_importance(*_with_classes(head, base, n_classes, seed))
                for seed in range(-(-JUDGED // n_classes))
            )
            accuracy_K1 = correct_K1 / (n_classes * -(-JUDGED // n_classes))
            curve = pd.DataFrame({"task": task, "classes": n_classes, "k": range(n_classes + 1)})
            parts.append(pruning.prunable(curve.assign(accuracy=accuracy_K1)))
    return pd.concat(parts, ignore_index=True)


def _correct_by_importance(head: LinearHead, base: Labelled) -> np.ndarray:
    own = kernels.directions(head.w_CD)
    order_K = kernels.importance(own, base.h_ND).argsort(descending=True, stable=True)
    return kernels.pruning_curve(base.h_ND, own, base.y_N, order_K, head.b_C).numpy()


def _with_classes(head: LinearHead, base: Labelled, n_classes: int, seed: int) -> tuple[LinearHead, Labelled]:
    """Return the head of some classes only, and the images of these."""
    chosen = np.sort(np.random.default_rng(seed).choice(len(head.w_CD), n_classes, replace=False))
    label_C = torch.full((len(head.w_CD),), -1)
    label_C[chosen] = torch.arange(n_classes)
    images_N = (label_C[base.y_N] >= 0).nonzero()[:, 0]
    bias_C = None if head.b_C is None else head.b_C[chosen]
    part = LinearHead(head.w_CD[chosen], bias_C, head.point)
    return part, Labelled(base.h_ND[images_N], label_C[base.y_N[images_N]])
