"""One-line errors for bad input: what was expected, what was found.

Every public function of the library calls these at its border, so that a wrong shape, a NaN or a
misspelt name is reported once, in the same words, and never turns into a silent number.
"""

from collections.abc import Iterable
from difflib import get_close_matches

import torch


class UnknownNameError(KeyError):
    """A name that is in no table; the message suggests the nearest ones."""

    def __str__(self) -> str:
        """Plain text: ``KeyError`` would print the message with quotes around it."""
        return str(self.args[0])


def known(kind: str, name: str, names: Iterable[str]) -> str:
    """Return ``name`` if it is one of ``names``.

    Raises:
        UnknownNameError: otherwise, with the nearest known names.
    """
    names = list(names)
    if name in names:
        return name
    near = get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names[:8])}"
    raise UnknownNameError(f"unknown {kind} {name!r}: {hint}")


def few(names: Iterable[str]) -> str:
    """Some names for a message of one line, and how many more there are."""
    names = list(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def features(h_ND: torch.Tensor, what: str = "features") -> torch.Tensor:
    """Return ``h_ND`` as a float32 or float64 matrix of finite numbers.

    Half-precision features (storage formats) are widened to float32; float32 and float64 pass unchanged.

    Raises:
        TypeError: not a tensor, or not a floating dtype.
        ValueError: not two-dimensional, empty, or with NaN or infinite entries.
    """
    if not isinstance(h_ND, torch.Tensor):
        raise TypeError(f"{what}: expected a torch tensor (images x features), found {type(h_ND).__name__}")
    if not h_ND.is_floating_point():
        raise TypeError(f"{what}: expected a floating dtype, found {str(h_ND.dtype).removeprefix('torch.')}")
    if h_ND.ndim != 2 or 0 in h_ND.shape:
        found = tuple(h_ND.shape)
        raise ValueError(f"{what}: expected a non-empty matrix (images x features), found {found}")
    if h_ND.dtype in (torch.float16, torch.bfloat16):
        h_ND = h_ND.float()
    # One sum is finite exactly when no entry is NaN or infinite, unless it overflows: look closer only then.
    if not torch.isfinite(h_ND.sum()) and not (ok_N := torch.isfinite(h_ND).all(1)).all():
        bad = (~ok_N).nonzero().flatten()
        found = f"NaN or inf in {len(bad)} rows, first row {bad[0]}"
        raise ValueError(f"{what}: expected finite numbers, found {found}")
    return h_ND
