"""Concepts: which of them some direction detects, how many, and how mixed directions are.

A concept is *encoded* if some direction, in one of its two senses, puts the concept's images first with an
average precision of at least a threshold. What counts as a negative image decides what that means, so it has
to be said each time: see :func:`labels`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from featurelens import checks, kernels
from featurelens.concept_labels import ConceptSet

NEGATIVES = ("balanced", "prevalence")
UNKNOWN = ("absent", "left out")
# This book's threshold; the sweep shows what others would give.
THRESHOLD = 0.9
THRESHOLDS = tuple(np.round(np.arange(0.5, 0.96, 0.05), 2).tolist())


class Labels(NamedTuple):
    """Concepts as they are judged: T of them, on N images.

    ``considered_NT`` are the images that exist for a concept; ``omitted`` the concepts with too few positive
    or negative images.
    """

    names: list[str]
    categories: list[str]
    present_NT: torch.Tensor
    considered_NT: torch.Tensor
    omitted: list[str]


def labels(
    concepts: ConceptSet,
    negatives: str,
    *,
    unknown: str = "absent",
    minimum: int = 30,
    rows: torch.Tensor | None = None,
    seed: int = 0,
) -> Labels:
    """Choose the images each concept is judged on.

    Args:
        concepts: pictures and the concepts in them.
        negatives: *prevalence*: all images without the concept, so that a rare concept is hard to detect
            and chance is its prevalence; *balanced*: as many as there are with it, drawn at random (or, of
            a concept in most images, as many with it as without), so that chance is one half for all.
        unknown: whether a concept that nobody looked for in an image is *absent* there, or the image is
            *left out* for it.
        minimum: positives, and negatives, that a concept must have on these images; with ten, luck alone
            finds it among 500 directions more often than not.
        rows: images whose features there are, in order (``Features.row_N``). Default: all.
        seed: of the drawn images.

    Raises:
        UnknownNameError: no such choice of negatives or of unknown.
        ValueError: no concept has enough images, or a minimum of none.
    """
    checks.known("choice of negatives", negatives, NEGATIVES)
    checks.known("choice of unknown", unknown, UNKNOWN)
    if minimum < 1:
        raise ValueError(f"minimum: expected at least 1, found {minimum}")
    present_NT, known_NT = concepts.present_NT, concepts.known_NT
    considered_NT = torch.ones_like(present_NT)
    if known_NT is not None and unknown == "left out":
        considered_NT = known_NT.clone()
    if rows is not None:
        present_NT, considered_NT = present_NT[rows], considered_NT[rows]
    positive_T = (present_NT & considered_NT).sum(0)
    enough_T = torch.minimum(positive_T, considered_NT.sum(0) - positive_T) >= minimum
    kept = enough_T.nonzero()[:, 0].tolist()
    if not kept:
        found = f"none of {len(concepts.names)}"
        raise ValueError(
            f"{concepts.images.name}: expected concepts with {minimum} images with and without, found {found}"
        )
    present_NT, considered_NT = present_NT[:, kept], considered_NT[:, kept]
    if negatives == "balanced":
        considered_NT = _balanced(present_NT, considered_NT, seed)
    names, categories = ([listed[t] for t in kept] for listed in (concepts.names, concepts.categories))
    omitted = [name for name, enough in zip(concepts.names, enough_T.tolist(), strict=True) if not enough]
    return Labels(names, categories, present_NT, considered_NT, omitted)


def _balanced(present_NT: torch.Tensor, considered_NT: torch.Tensor, seed: int) -> torch.Tensor:
    """Keep equally many images with and without each concept, all of the rarer kind."""
    random = torch.Generator().manual_seed(seed)
    # One shuffle for all concepts: two concepts in the same images get the same negatives.
    place_N = torch.randperm(len(present_NT), generator=random)
    kept_NT = torch.zeros_like(considered_NT)
    sides = (present_NT & considered_NT, ~present_NT & considered_NT)
    size_T = torch.minimum(sides[0].sum(0), sides[1].sum(0))
    for side_NT in sides:
        nth_NT = torch.empty_like(side_NT, dtype=torch.int64)
        nth_NT[place_N] = side_NT[place_N].long().cumsum(0)
        kept_NT |= side_NT & (nth_NT <= size_T)
    return kept_NT


@dataclass(frozen=True)
class Detection:
    """How well each of K directions detects each of T concepts, in either sense.

    Attributes:
        names, categories: of the concepts.
        ap_2KT: average precision, float64; [0] along the directions, [1] against them.
    """

    names: list[str]
    categories: list[str]
    ap_2KT: torch.Tensor

    @cached_property
    def ap_KT(self) -> torch.Tensor:
        """Average precision in the better sense."""
        return self.ap_2KT.amax(0)

    @cached_property
    def sense_KT(self) -> torch.Tensor:
        """The better sense: 1 along the direction, -1 against it."""
        return 1 - 2 * self.ap_2KT.argmax(0)

    @cached_property
    def best_T(self) -> torch.Tensor:
        """Average precision of each concept's best direction."""
        return self.ap_KT.amax(0)

    def encoded(self, threshold: float = THRESHOLD) -> set[str]:
        """Names of the concepts that some direction detects."""
        return {name for name, ap in zip(self.names, self.best_T.tolist(), strict=True) if ap >= threshold}

    def table(self) -> pd.DataFrame:
        """One row per concept: its category, best direction and sense, and average precision."""
        flat_T = self.ap_2KT.flatten(0, 1).argmax(0)
        n_directions = self.ap_2KT.shape[1]
        return pd.DataFrame(
            {
                "concept": self.names,
                "category": self.categories,
                "direction": (flat_T % n_directions).numpy(),
                "sense": np.where(flat_T.numpy() < n_directions, 1, -1),
                "ap": self.best_T.numpy(),
            }
        )

    def directions(self, threshold: float = THRESHOLD) -> pd.DataFrame:
        """One row per direction: how many concepts it detects, and how mixed their categories are.

        ``entropy`` is that of the categories of the detected concepts in bits: 0 for one category, missing
        where nothing is detected.
        """
        found_KT = (self.ap_KT >= threshold).numpy()
        kinds = sorted(set(self.categories))
        of_kind_TJ = np.array([[category == kind for kind in kinds] for category in self.categories])
        count_KJ = found_KT.astype(float) @ of_kind_TJ
        total_K = count_KJ.sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            share_KJ = count_KJ / total_K[:, None]
            # Taken from 0, since the negative of 0 would be shown as -0.0.
            bits_K = 0 - np.where(share_KJ > 0, share_KJ * np.log2(share_KJ), 0).sum(1)
        bits_K[total_K == 0] = np.nan
        return pd.DataFrame(
            {"direction": range(len(total_K)), "concepts": total_K.astype(int), "entropy": bits_K}
        )

    def top(self, direction: int, n: int = 5) -> pd.DataFrame:
        """Concepts that a direction detects best, with sense and average precision.

        Raises:
            ValueError: no such direction.
        """
        if not 0 <= direction < self.ap_2KT.shape[1]:
            raise ValueError(f"expected a direction from 0 to {self.ap_2KT.shape[1] - 1}, found {direction}")
        ap, sense = self.ap_2KT[:, direction].max(0)
        order = ap.argsort(descending=True)[:n].tolist()
        rows = [(self.names[t], self.categories[t], 1 - 2 * sense[t].item(), ap[t].item()) for t in order]
        return pd.DataFrame(rows, columns=["concept", "category", "sense", "ap"])


def detect(h_ND: torch.Tensor, directions_DK: torch.Tensor, judged: Labels) -> Detection:
    """Score images along directions, and the directions by how well they detect concepts.

    Raises:
        TypeError, ValueError: as :func:`featurelens.checks.features`; directions of another width, labels
            of another number of images.
    """
    scores_NK = project(h_ND, directions_DK)
    ap_2KT = kernels.average_precision_signed(scores_NK, judged.present_NT, judged.considered_NT)
    return Detection(judged.names, judged.categories, _settled(ap_2KT))


def _settled(ap: torch.Tensor) -> torch.Tensor:
    """Move to the CPU and round to the kernel's exactness: all images first is 1, not the number below it."""
    return ap.cpu().round(decimals=12)


def project(h_ND: torch.Tensor, directions_DK: torch.Tensor) -> torch.Tensor:
    """Return the score of each image along each direction.

    Raises:
        TypeError, ValueError: as :func:`detect`.
    """
    h_ND = checks.features(h_ND)
    if directions_DK.ndim != 2 or len(directions_DK) != h_ND.shape[1]:
        raise ValueError(f"directions: expected {h_ND.shape[1]} x K, found {tuple(directions_DK.shape)}")
    return h_ND @ directions_DK.to(h_ND)


def by_luck(
    h_ND: torch.Tensor, directions_DK: torch.Tensor, judged: Labels, permutations: int = 20, seed: int = 0
) -> torch.Tensor:
    """Return the best average precision of each concept when images and labels are shuffled, ap_RT.

    Raises:
        TypeError, ValueError: as :func:`detect`; no permutations.
    """
    seen = (project(h_ND, directions_DK), judged.present_NT, judged.considered_NT)
    return _settled(kernels.average_precision_by_chance(*seen, permutations=permutations, seed=seed))


def resampled(
    h_ND: torch.Tensor, directions_DK: torch.Tensor, judged: Labels, resamples: int = 20, seed: int = 0
) -> torch.Tensor:
    """Return the average precision of each concept's best direction over draws of the images, ap_RT.

    Raises:
        TypeError, ValueError: as :func:`detect`; no resamples.
    """
    seen = (project(h_ND, directions_DK), judged.present_NT, judged.considered_NT)
    return _settled(kernels.average_precision_resampled(*seen, resamples=resamples, seed=seed))


def sweep(best: torch.Tensor, thresholds: Iterable[float] = THRESHOLDS) -> list[int | float]:
    """Return how many concepts are encoded at each threshold, from their best average precisions.

    ``best`` is best_T, or ap_RT of several draws; then counts are their mean.
    """
    return [(best >= threshold).double().sum(-1).mean().item() for threshold in thresholds]
