"""The modality gap: how far image and text features lie apart on the unit sphere."""

import torch

from featurelens import checks


@torch.no_grad()
def modality_gap(image_ND: torch.Tensor, text_MD: torch.Tensor) -> float:
    """Distance between the mean unit image vector and the mean unit text vector (Liang et al., 2022).

    Between 0 and 2: 0 if the means agree, 2 if all images are one point and all texts its opposite.

    Args:
        image_ND: image features in the joint space; need not be normalised.
        text_MD: text features in the same space; need not be as many, nor matching rows.

    Raises:
        TypeError, ValueError: not finite matrices of one width, or a row of zeros.

    >>> modality_gap(torch.eye(2), -torch.eye(2))
    1.4142135381698608
    """
    return gap_vector(image_ND, text_MD).norm().item()


@torch.no_grad()
def gap_vector(image_ND: torch.Tensor, text_MD: torch.Tensor) -> torch.Tensor:
    """Mean unit image vector minus mean unit text vector, (D,): the modality gap with its direction.

    Raises:
        TypeError, ValueError: as :func:`modality_gap`.
    """
    image_ND, text_MD = checks.features(image_ND, "images"), checks.features(text_MD, "texts")
    if image_ND.shape[1] != text_MD.shape[1]:
        found = f"{image_ND.shape[1]} and {text_MD.shape[1]}"
        raise ValueError(f"modality gap: expected image and text features of one width, found {found}")
    return _mean_direction(image_ND) - _mean_direction(text_MD)


def _mean_direction(h_ND: torch.Tensor) -> torch.Tensor:
    norm_N1 = h_ND.norm(dim=1, keepdim=True)
    if (norm_N1 == 0).any():
        raise ValueError(f"modality gap: expected non-zero rows, found {int((norm_N1 == 0).sum())} of zeros")
    return (h_ND / norm_N1).mean(0)
