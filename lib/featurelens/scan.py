"""Scan an encoder, or features: outlier coordinates, kurtosis, what a head uses, and what that can say."""

from datetime import UTC, datetime

import torch

from featurelens import checks, extract, scan_measures, scan_verdict
from featurelens.encoder import Encoder
from featurelens.heads import LinearHead
from featurelens.imagesets import ImageSet
from featurelens.scan_report import ScanReport
from featurelens.store import FeatureStore


def scan(
    encoder: Encoder,
    images: ImageSet,
    head: LinearHead | None = None,
    *,
    point: str | None = None,
    store: FeatureStore | None = None,
) -> ScanReport:
    """Scan an encoder on images of your choice; labels and shifted images are not needed.

    Args:
        encoder: as :func:`featurelens.zoo.load` gives it, of a name or of your own module.
        images: two or more; a few hundred are a good start.
        head: that reads the features. Default: the encoder's own, if it reads at ``point``.
        point: where features are taken. Default: where the head reads; without one ``joint``, or ``pre``.
        store: where features are, or go; default: the one in the cache.

    Raises:
        UnknownNameError: the encoder has no such point.
        ValueError: as :func:`featurelens.scan_measures.measure`, and no image that can be read.
    """
    point = chosen(encoder, head, point)
    if head is None and encoder.head is not None and encoder.head.point == point:
        head = encoder.head
    h_ND, _, _, failures = extract.features(encoder, images, store, point)
    if not len(h_ND):
        reasons = [failed["reason"] for failed in failures]
        found = f"{len(reasons)} without: {max(reasons, key=reasons.count, default='')}"
        raise ValueError(f"{images.name}: expected images with features, found {found}")
    left_out = [{name: failed[name] for name in ("key", "reason")} for failed in failures]
    return _report(encoder.name, h_ND, head, point, encoder.identity, images.identity, left_out)


def features(
    h_ND: torch.Tensor, head: LinearHead | None = None, *, name: str = "features", point: str = ""
) -> ScanReport:
    """Scan a matrix of features, one row an image; ``name`` and ``point`` only go into the report.

    Raises:
        TypeError, ValueError: as :func:`featurelens.scan_measures.measure`.
    """
    return _report(name, h_ND, head, point)


def chosen(encoder: Encoder, head: LinearHead | None = None, point: str | None = None) -> str:
    """Return the point that :func:`scan` takes features at.

    Raises:
        UnknownNameError: the encoder has no such point.
        ValueError: the head reads another one.
    """
    if point is not None:
        checks.known(f"feature point of {encoder.name}", point, encoder.dims)
        if head is not None and head.point in encoder.dims and head.point != point:
            expected = f"the point that the head reads, {head.point}"
            raise ValueError(f"{encoder.name}: expected {expected}, found {point}")
        return point
    reading = head or encoder.head
    if reading is not None and reading.point in encoder.dims:
        return reading.point
    return "joint" if "joint" in encoder.dims else "pre"


def _report(
    name: str,
    h_ND: torch.Tensor,
    head: LinearHead | None,
    point: str,
    identity: dict[str, str] | None = None,
    images: dict[str, str] | None = None,
    left_out: list[dict[str, str]] | None = None,
) -> ScanReport:
    measured = scan_measures.measure(h_ND, head, len(left_out or []))
    verdict = scan_verdict.verdict(measured.values)
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    return ScanReport(name, point, measured, verdict, identity, images, left_out or [], date)
