"""Dissect an encoder: which concepts its directions detect, and how many luck would."""

from datetime import UTC, datetime

import torch
from rich.console import Console

from featurelens import checks, concepts, extract, kernels
from featurelens.concept_labels import ConceptSet
from featurelens.concepts import THRESHOLD, Detection
from featurelens.dissect_report import Report
from featurelens.encoder import Encoder
from featurelens.store import FeatureStore

DIRECTIONS = ("features", "head")
PERMUTATIONS = 5
ENDS = 6  # images kept of each direction that detects something


def dissect(
    encoder: Encoder,
    concept_set: ConceptSet,
    *,
    directions: str = "features",
    point: str | None = None,
    negatives: str = "balanced",
    threshold: float = THRESHOLD,
    minimum: int = 30,
    permutations: int = PERMUTATIONS,
    pictures: bool = False,
    store: FeatureStore | None = None,
) -> Report:
    """Score the images of ``concept_set`` along directions of ``encoder`` and see what each detects.

    Args:
        encoder: whose features are taken, from ``store`` (default: the cache's) if they are there.
        concept_set: pictures and the concepts in them.
        directions: *features*, each coordinate; *head*, the right singular vectors of the encoder's head,
            up to its rank.
        point: where features are taken. Default: ``pre``, or where the head reads.
        negatives, minimum: as :func:`featurelens.concepts.labels`.
        threshold: average precision from which on a concept counts as detected.
        permutations: shuffles for the number expected by luck; each takes as long as the real search.
        pictures: whether the page may show small copies of the images: see
            :func:`featurelens.dissect_pictures.may_show`.

    Raises:
        UnknownNameError: a choice or a point that does not exist.
        ValueError: a threshold outside (0, 1], no head, another point than the head's, no concept with
            enough images.
    """
    checked(directions, negatives, threshold)
    point, v_DK = _directions(encoder, directions, point)
    judged = concepts.labels(concept_set, negatives, minimum=minimum)
    h_ND, _, row_N, failures = extract.features(encoder, concept_set.images, store, point)
    if len(row_N) < len(concept_set.images):  # some pictures did not decode
        judged = concepts.labels(concept_set, negatives, minimum=minimum, rows=row_N)
    with Console(stderr=True).status(f"{v_DK.shape[1]} directions, {len(judged.names)} concepts"):
        found = concepts.detect(h_ND, v_DK, judged)
        luck_RT = concepts.by_luck(h_ND, v_DK, judged, permutations)
    return Report(
        encoder,
        concept_set,
        directions,
        point,
        negatives,
        minimum,
        threshold,
        len(row_N),
        judged,
        found,
        luck_RT,
        _ends(h_ND, v_DK, row_N, found, threshold) if pictures else {},
        concept_set.failures + [{name: failed[name] for name in ("key", "reason")} for failed in failures],
        f"{datetime.now(UTC):%Y-%m-%d}",
    )


def checked(directions: str, negatives: str, threshold: float) -> None:
    """Refuse choices that do not exist, before anything is loaded.

    Raises:
        UnknownNameError, ValueError: as :func:`dissect`.
    """
    checks.known("choice of directions", directions, DIRECTIONS)
    checks.known("choice of negatives", negatives, concepts.NEGATIVES)
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: expected a number above 0 and up to 1, found {threshold:g}")


def _directions(encoder: Encoder, kind: str, point: str | None) -> tuple[str, torch.Tensor]:
    """The point, and the directions as columns."""
    if kind == "head":
        if encoder.head is None:
            raise ValueError(f"{encoder.name}: expected an encoder with a head, found none")
        if point not in (None, encoder.head.point):
            raise ValueError(
                f"{encoder.name}: expected the point that the head reads, {encoder.head.point}, found {point}"
            )
        own = kernels.directions(encoder.head.w_CD)
        return encoder.head.point, own.v_DK[:, : own.rank]
    point = checks.known(f"feature point of {encoder.name}", point or "pre", encoder.dims)
    return point, torch.eye(encoder.dims[point])


def _ends(
    h_ND: torch.Tensor, v_DK: torch.Tensor, row_N: torch.Tensor, found: Detection, threshold: float
) -> dict[int, list[int]]:
    """Rows of the images with the highest scores, in the sense of the direction's best concept."""
    used_U = (found.ap_KT.amax(1) >= threshold).nonzero()[:, 0]
    sense_U = 1 - 2 * found.ap_2KT[:, used_U].amax(2).argmax(0)
    ends = {}
    for k, sense in zip(used_U.tolist(), sense_U.tolist(), strict=True):
        score_N = concepts.project(h_ND, sense * v_DK[:, k : k + 1])[:, 0]
        ends[k] = row_N[score_N.argsort(descending=True, stable=True)[:ENDS]].tolist()
    return ends
