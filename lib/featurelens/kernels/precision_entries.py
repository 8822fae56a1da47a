"""Which images count for which concept: one sparse list, built once and shared by all directions."""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Entries:
    """An entry E for each image and concept that a walk over ranked images has to visit, image by image.

    Where all images are considered these are the positives alone, since an image has the same rank for every
    concept. Where each concept has its own images (``chosen``), their negatives are listed too and the ranks
    are counted concept by concept.
    """

    image_E: torch.Tensor
    concept_E: torch.Tensor
    present_E: torch.Tensor  # bool
    weight_N: torch.Tensor  # int64: how often an image counts
    positives_T: torch.Tensor  # int64: images with the concept, by weight
    considered_T: torch.Tensor  # int64: all images of the concept, by weight
    chosen: bool

    @property
    def undefined_T(self) -> torch.Tensor:
        """True for concepts without a positive or without a negative image."""
        return (self.positives_T == 0) | (self.positives_T == self.considered_T)

    def weighted(self, weight_N: torch.Tensor) -> "Entries":
        """Return the same entries with other weights.

        Raises:
            TypeError: not integers.
            ValueError: not one for each image, or negative.
        """
        if not isinstance(weight_N, torch.Tensor) or weight_N.is_floating_point() or weight_N.is_complex():
            raise TypeError(f"weights: expected a tensor of integers, found {_kind(weight_N)}")
        if weight_N.shape != self.weight_N.shape:
            expected, found = len(self.weight_N), tuple(weight_N.shape)
            raise ValueError(f"weights: expected one for each of {expected} images, found {found}")
        if weight_N.min() < 0:
            raise ValueError(f"weights: expected no negative number, found {int(weight_N.min())}")
        weight_N = weight_N.to(self.weight_N)
        weight_E = weight_N[self.image_E]
        zero_T = torch.zeros_like(self.positives_T)
        positives_T = zero_T.index_add(0, self.concept_E, weight_E * self.present_E)
        considered_T = (
            zero_T.index_add(0, self.concept_E, weight_E) if self.chosen else zero_T + weight_N.sum()
        )
        return replace(self, weight_N=weight_N, positives_T=positives_T, considered_T=considered_T)


def entries(
    n_images: int,
    present_NT: torch.Tensor,
    considered_NT: torch.Tensor | None,
    weight_N: torch.Tensor | None,
    device: torch.device,
) -> Entries:
    """Check labels and weights, and list the entries.

    Args:
        n_images: how many images have scores.
        present_NT, considered_NT, weight_N: as :func:`featurelens.kernels.average_precision`.
        device: where the list is wanted.

    Raises:
        TypeError: labels not bool or uint8, weights not integer.
        ValueError: shapes that do not agree, no concept, labels other than 0 and 1, negative weights.
    """
    present_NT = _labels("present", present_NT, n_images).to(device)
    listed_NT = present_NT
    if considered_NT is not None:
        listed_NT = _labels("considered", considered_NT, n_images).to(device)
        if listed_NT.shape != present_NT.shape:
            expected, found = tuple(present_NT.shape), tuple(listed_NT.shape)
            raise ValueError(f"considered: expected the shape of present, {expected}, found {found}")
    image_E, concept_E = listed_NT.nonzero(as_tuple=True)
    once_N = torch.ones(n_images, dtype=torch.int64, device=device)
    none_T = once_N.new_zeros(present_NT.shape[1])
    present_E, chosen = present_NT[image_E, concept_E], considered_NT is not None
    unweighted = Entries(image_E, concept_E, present_E, once_N, none_T, none_T, chosen)
    return unweighted.weighted(once_N if weight_N is None else weight_N)


def _labels(what: str, x_NT: torch.Tensor, n_images: int) -> torch.Tensor:
    if not isinstance(x_NT, torch.Tensor) or x_NT.dtype not in (torch.bool, torch.uint8):
        raise TypeError(f"{what}: expected a tensor of bool or uint8, found {_kind(x_NT)}")
    if x_NT.ndim != 2 or len(x_NT) != n_images or x_NT.shape[1] == 0:
        found = tuple(x_NT.shape)
        raise ValueError(f"{what}: expected {n_images} images x one or more concepts, found {found}")
    if x_NT.dtype == torch.uint8 and x_NT.max() > 1:
        raise ValueError(f"{what}: expected only 0 and 1, found {int(x_NT.max())}")
    return x_NT.bool()


def _kind(x: object) -> str:
    return str(x.dtype).removeprefix("torch.") if isinstance(x, torch.Tensor) else type(x).__name__
