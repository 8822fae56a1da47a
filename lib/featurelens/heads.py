"""Linear heads: the matrix that turns features into class scores, and what is decided with it.

A supervised network's head is its last layer. A *zero-shot head* is made of text: each row is the mean
text feature of a class name in several templates ("a photo of a {}", …).
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from featurelens import checks

ROUNDING = 1e-2  # of the largest score: what two ways to compute in half precision may differ by
TABLE = Path(__file__).parent / "tables" / "imagenet_classes.csv"


class LinearHead(NamedTuple):
    """``w_CD`` and ``b_C`` (None without bias) on the features at ``point``."""

    w_CD: torch.Tensor
    b_C: torch.Tensor | None
    point: str

    @classmethod
    def of(cls, layer: nn.Module, point: str) -> "LinearHead | None":
        """Copy a linear layer's weights to the CPU, in float32; None if it is no linear layer.

        A convolution of one pixel is one: on pooled features, some networks classify with it.
        """
        pixel = isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and layer.groups == 1
        if not pixel and not isinstance(layer, nn.Linear):
            return None
        bias = None if layer.bias is None else layer.bias.detach().float().cpu()
        return cls(layer.weight.detach().flatten(1).float().cpu(), bias, point)

    def explains(self, h_ND: torch.Tensor, scores_NC: object) -> bool:
        """Whether a network with these features gives these scores through this head, and nothing else."""
        classes, width = self.w_CD.shape
        if h_ND.shape[1] != width or getattr(scores_NC, "shape", None) != (len(h_ND), classes):
            return False
        scores_NC = scores_NC.float().cpu()
        own_NC = nn.functional.linear(h_ND.float().cpu(), self.w_CD, self.b_C)
        return bool(((own_NC - scores_NC).abs() <= ROUNDING * scores_NC.abs().max()).all())


def zero_shot_head(
    encode_text: Callable[[list[str]], torch.Tensor], class_names: Sequence[str], templates: Sequence[str]
) -> torch.Tensor:
    """Prompt-ensemble head ``w_CD``, rows of length 1: one class, the mean over its templates.

    ``encode_text`` maps P prompts to a P x D matrix; each template has one ``{}`` for the class name.

    Raises:
        ValueError: no classes, no templates, or a template without ``{}``.

    Source: Radford et al., "Learning transferable visual models from natural language supervision",
    ICML 2021, section 3.1.4: normalise each prompt's feature, average, normalise again.
    """
    if not class_names or not templates:
        raise ValueError(
            f"expected classes and templates, found {len(class_names)} classes and {len(templates)} templates"
        )
    if wrong := [t for t in templates if t.count("{}") != 1]:
        raise ValueError(f"expected one {{}} in each template, found {wrong[0]!r}")
    rows = []
    for name in class_names:
        h_PD = checks.features(encode_text([t.replace("{}", name) for t in templates]), "text features")
        rows.append(unit(unit(h_PD).mean(0, keepdim=True)))
    return torch.cat(rows)


def unit(h_ND: torch.Tensor) -> torch.Tensor:
    """Rows divided by their length.

    Raises:
        ValueError: a row of zeros has no direction.
    """
    norm_N1 = h_ND.norm(dim=1, keepdim=True)
    if not norm_N1.all():
        raise ValueError(f"expected rows of non-zero length, found zeros in row {norm_N1.argmin().item()}")
    return h_ND / norm_N1


def logits(h_ND: torch.Tensor, w_CD: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Class scores (N x C): ``h_ND @ w_CD.T + bias``.

    Raises:
        ValueError: the head reads another number of features than there are.
    """
    h_ND, w_CD = checks.features(h_ND), checks.features(w_CD, "head")
    if h_ND.shape[1] != w_CD.shape[1]:
        raise ValueError(f"expected features for a head of {w_CD.shape[1]}, found {h_ND.shape[1]} features")
    return nn.functional.linear(h_ND, w_CD, bias)


def predict(h_ND: torch.Tensor, w_CD: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Class with the largest score, for each image (of equal scores the first)."""
    return logits(h_ND, w_CD, bias).argmax(1)


def accuracy(
    h_ND: torch.Tensor, w_CD: torch.Tensor, y_N: torch.Tensor, bias: torch.Tensor | None = None
) -> float:
    """Top-1 accuracy, a fraction.

    Raises:
        ValueError: as many labels as images are expected, each a row of the head.
    """
    if y_N.shape != h_ND.shape[:1]:
        raise ValueError(f"expected {len(h_ND)} labels, one an image, found {tuple(y_N.shape)}")
    if y_N.min() < 0 or y_N.max() >= len(w_CD):
        raise ValueError(f"expected labels 0..{len(w_CD) - 1}, found {y_N.min().item()}..{y_N.max().item()}")
    return (predict(h_ND, w_CD, bias) == y_N).double().mean().item()


def grouped(scores_NC: torch.Tensor, group_C: torch.Tensor) -> torch.Tensor:
    """Mean softmax probability of each group's classes (N x groups): coarse decisions of a fine classifier.

    ``group_C`` holds each class's group, 0..G-1, or -1 where it is in none. The decision is the argmax.

    Raises:
        ValueError: not one group a class, or a group without classes.

    Source: Geirhos et al., "ImageNet-trained CNNs are biased towards texture", ICLR 2019, appendix.
    """
    if group_C.shape != scores_NC.shape[1:]:
        raise ValueError(f"expected {scores_NC.shape[1]} groups, one a class, found {tuple(group_C.shape)}")
    n_groups = int(group_C.max()) + 1
    member_CG = (group_C[:, None] == torch.arange(n_groups)).to(scores_NC.dtype)
    size_G = member_CG.sum(0)
    if n_groups < 1 or not size_G.all():
        raise ValueError(f"expected groups 0..{n_groups - 1} with classes in each, found an empty one")
    return scores_NC.softmax(1) @ member_CG / size_G


def imagenet(column: str) -> list[str]:
    """One column of the table of the 1,000 ImageNet classes, in index order.

    Raises:
        UnknownNameError: no such column.
    """
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    checks.known("column of the ImageNet classes", column, rows[0])
    return [row[column] for row in rows]


def imagenet_groups(column: str) -> tuple[list[str], torch.Tensor]:
    """Group names, sorted, and ``group_C`` for :func:`grouped`, from a column such as ``geirhos16``."""
    labels = imagenet(column)
    groups = sorted({label for label in labels if label})
    return groups, torch.tensor([groups.index(label) if label else -1 for label in labels])
