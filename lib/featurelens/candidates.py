"""Directions that are searched for concepts: coordinates, a head's singular vectors, and random ones."""

import torch

from featurelens import kernels
from featurelens.heads import LinearHead


def random_directions(width: int, count: int, seed: int) -> torch.Tensor:
    """Return ``count`` unit directions (width x count), uniform on the sphere: what no training gives."""
    random = torch.Generator().manual_seed(seed)
    v_DK = torch.randn(width, count, generator=random, dtype=torch.float64)
    return v_DK / v_DK.norm(dim=0)


def by_kind(width: int, head: LinearHead | None = None) -> dict[str, torch.Tensor]:
    """Return the directions of each kind, one a column.

    *features*: the coordinates; *right singular vectors* of the head, as many as its rank, where there is a
    head; *random*: as many as there are coordinates.
    """
    found = {"features": torch.eye(width)}
    if head is not None:
        own = kernels.directions(head.w_CD)
        found["right singular vectors"] = own.v_DK[:, : own.rank]
    return found | {"random": random_directions(width, width, seed=0)}
