"""Interpolation between two networks of the same shape, in weight space (Wortsman et al., 2022, WiSE-FT)."""

import math

import torch


def interpolate(
    start: dict[str, torch.Tensor], end: dict[str, torch.Tensor], alpha: float
) -> dict[str, torch.Tensor]:
    """State dict ``(1 - alpha) * start + alpha * end``, entry by entry (WiSE-FT, equation 1).

    Running statistics of batch norm are interpolated like weights; counters (integers) are those of ``end``.

    Args:
        start: state dict at ``alpha`` 0, such as a zero-shot model's.
        end: state dict at ``alpha`` 1, such as the finetuned model's; the same keys and shapes.
        alpha: a finite number; outside [0, 1] it extrapolates.

    Raises:
        ValueError: keys or shapes differ, or ``alpha`` is not finite.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"alpha: expected a finite number, found {alpha}")
    if lacking := sorted(start.keys() ^ end.keys()):
        found = f"{len(lacking)} in one only, first {lacking[0]!r}"
        raise ValueError(f"expected two networks with the same tensors, found {found}")
    for key, tensor in start.items():
        if tensor.shape != end[key].shape:
            shapes = f"{tuple(tensor.shape)} and {tuple(end[key].shape)}"
            raise ValueError(f"{key}: expected tensors of one shape, found {shapes}")
    return {
        key: torch.lerp(start[key], end[key], alpha) if end[key].is_floating_point() else end[key].clone()
        for key in start
    }
