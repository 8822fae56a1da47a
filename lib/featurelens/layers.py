"""Features inside a network: the outputs of named layers, as further feature points.

A layer's name is the one in ``named_modules`` of the network. Its output becomes one row per image: a matrix
(N x D) as it is, tokens (N x L x D) by their mean, maps (N x C x H x W) by the mean over positions. With an
index after the name, ``blocks.3[0]``, it is that token: number 0 is the class token, where there is one.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from featurelens import checks


class Layers:
    """A forward function that returns the outputs of layers beside what it returned before.

    Hooks are set for one call only, so that the network stays as it was and can be pickled.
    """

    def __init__(self, name: str, forward: Callable, module: nn.Module, points: Sequence[str]) -> None:
        """Take ``points``, names of layers in ``module`` with or without an index, beside ``forward``'s own.

        Raises:
            UnknownNameError: no such layer; the message has the nearest names.
        """
        self.name, self.forward, self.module = name, forward, module
        self.taken = {point: _parsed(point) for point in points}
        known = [layer for layer, _ in module.named_modules() if layer]
        for layer, _ in self.taken.values():
            checks.known(f"layer of {name}", layer, known)

    def __call__(self, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features by point: those of the network itself, then those of the layers.

        Raises:
            ValueError: a layer that is not called once in a pass, or whose output is not one row per image.
        """
        found: dict[str, torch.Tensor] = {}
        handles = [
            self.module.get_submodule(layer).register_forward_hook(partial(self._take, found, point, token))
            for point, (layer, token) in self.taken.items()
        ]
        try:
            points = self.forward(x_NCHW)
        finally:
            for handle in handles:
                handle.remove()
        points = by_point(points)
        if clash := points.keys() & self.taken.keys():
            raise ValueError(f"{self.name}: expected no layer named as a point is, found {min(clash)!r}")
        if missed := self.taken.keys() - found.keys():
            raise ValueError(f"{self.name}: expected layers that are called, found {min(missed)!r} is not")
        return {**points, **{point: found[point] for point in self.taken}}

    def _take(
        self, found: dict, point: str, token: int | None, layer: nn.Module, given: tuple, out: object
    ) -> None:
        """Hook: keep a copy of the rows, since a later layer may work on them in place."""
        if point in found:
            raise ValueError(
                f"{self.name}: expected layers that are called once, found {point!r} called again"
            )
        out = out[0] if isinstance(out, tuple) and out else out  # attention returns its weights as well
        found[point] = _rows(f"{self.name}, {point}", out, token)


def by_point(result: object) -> dict:
    """What a network returned, by point: one matrix is at ``pre``."""
    return result if isinstance(result, dict) else {"pre": result}


def _parsed(point: str) -> tuple[str, int | None]:
    """``name[3]`` -> name and token; ``name`` -> name and None."""
    match = re.fullmatch(r"(.+)\[(\d+)\]", point)
    return (match[1], int(match[2])) if match else (point, None)


def _rows(what: str, out: object, token: int | None) -> torch.Tensor:
    """One row per image of what a layer returned, in float32: a mean in half precision would lose digits."""
    if not isinstance(out, torch.Tensor) or not out.is_floating_point():
        raise ValueError(f"{what}: expected a tensor of features, found {type(out).__name__}")
    if token is not None:
        if out.ndim != 3 or token >= out.shape[1]:
            found = tuple(out.shape)
            raise ValueError(f"{what}: expected tokens (N x L x D) with number {token}, found {found}")
        return out[:, token].float().clone()
    if out.ndim not in (2, 3, 4):
        raise ValueError(f"{what}: expected N x D, N x L x D or N x C x H x W, found {tuple(out.shape)}")
    if out.ndim == 2:
        return out.float().clone()
    return out.float().mean(1) if out.ndim == 3 else out.float().mean((2, 3))
