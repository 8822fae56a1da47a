"""Surfaces: textures and materials of the object, patterns of the scenes.

Each function maps coordinates to a number per pixel, nominally in [0, 1]. They use only a few
elementary functions, so a batch of thousands of pictures costs a few milliseconds.
"""

from collections.abc import Callable

import torch

from featurelens.miniature.world import Pictures, names

Tensor = torch.Tensor


def wave(x: Tensor) -> Tensor:
    """Triangle wave of period 1 in [0, 1]."""
    return (2 * (x - (x + 0.5).floor())).abs()


def _step(x: Tensor) -> Tensor:
    """Soft threshold of a wave at one half."""
    return ((x - 0.5) * 5 + 0.5).clamp(0, 1)


def _cell_dots(u: Tensor, v: Tensor) -> Tensor:
    return _step(1.05 - ((u - u.round()) ** 2 + (v - v.round()) ** 2) * 6)


# Texture of the object, in object coordinates: 1 is the texture's ink, 0 the paint.
TEXTURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "plain": lambda u, v: torch.zeros_like(u),
    "striped": lambda u, v: _step(wave(2.2 * u)),
    "banded": lambda u, v: _step(wave(2.2 * v)),
    "dotted": lambda u, v: _cell_dots(2.6 * u, 2.6 * v),
    "chequered": lambda u, v: _step((_step(wave(1.5 * u)) - _step(wave(1.5 * v))).abs()),
    "zigzagged": lambda u, v: _step(wave(2.2 * v + 0.55 * wave(2.0 * u))),
    "grid": lambda u, v: torch.maximum(_step(1.3 * wave(2.6 * u) - 0.35), _step(1.3 * wave(2.6 * v) - 0.35)),
}

# Material of the object: brightness added to the paint, given coordinates and pixel noise.
MATERIALS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "paper": lambda u, v, noise: torch.zeros_like(u),
    "metal": lambda u, v, noise: (
        0.85 * (1 - 3.2 * (u + v - 0.15).abs()).clamp(0, 1) - 0.16 * wave(0.7 * (u + v))
    ),
    "glass": lambda u, v, noise: 0.3 * (1 - 5 * (u - 0.35).abs()).clamp(0, 1),
    "wool": lambda u, v, noise: 0.17 * noise,
    "wood": lambda u, v, noise: 0.24 * (wave(0.9 * u + 4.2 * v + 0.5 * wave(1.3 * u)) - 0.6),
    "stone": lambda u, v, noise: 0.34 * ((noise > 0.9).float() - (noise < -0.7).float()),
}

# Pattern of the scene, on the canvas, given a phase per picture and pixel noise: brightness added.
SCENES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "clouds": lambda x, y, p, noise: 0.5 * _step(wave(0.6 * x + p) * wave(1.1 * y + 3 * p) * 1.5),
    "waves": lambda x, y, p, noise: 0.3 * _step(wave(3 * y + 0.35 * wave(2 * x + p))) * (y < 0.1),
    "trunks": lambda x, y, p, noise: -0.35 * _step(wave(2.1 * x + p)) * (y > -0.55) + 0.07 * noise,
    "dunes": lambda x, y, p, noise: -0.22 * _step(wave(1.6 * y + 0.5 * x + p)) * (y < -0.1),
    "windows": lambda x, y, p, noise: 0.45 * _step(wave(2.8 * x + p)) * _step(wave(2.8 * y)) * (y > -0.5),
    "stars": lambda x, y, p, noise: 0.85 * (noise > 1.75) * (y > -0.7),
    "flakes": lambda x, y, p, noise: -0.35 * _cell_dots(2.3 * x + p, 2.3 * y + 3 * p),
    "boards": lambda x, y, p, noise: -0.25 * _step(1.2 * wave(2.5 * x + p) - 0.3) * (y < -0.4),
}


def _grouped(kind_N: Tensor, functions: list[Callable[..., Tensor]], *inputs: Tensor) -> Tensor:
    """Evaluate for each picture only the function of its own kind."""
    out = torch.zeros_like(inputs[0])
    for number, function in enumerate(functions):
        rows = (kind_N == number).nonzero().flatten()
        if len(rows):
            out[rows] = function(*(values[rows] for values in inputs))
    return out


def texture(pictures: Pictures, u: Tensor, v: Tensor) -> Tensor:
    """Texture of each picture's object, (N, H, W) in [0, 1]."""
    return _grouped(pictures.texture, [TEXTURES[name] for name in names("texture")], u, v)


def material(pictures: Pictures, u: Tensor, v: Tensor, noise_NHW: Tensor) -> Tensor:
    """Brightness that each picture's material adds, (N, H, W)."""
    return _grouped(pictures.material, [MATERIALS[name] for name in names("material")], u, v, noise_NHW)


def scene(pictures: Pictures, patterns: list[str], x: Tensor, y: Tensor, noise_NHW: Tensor) -> Tensor:
    """Brightness that the pattern of each picture's scene adds, (N, H, W)."""
    phase = pictures.phase[:, 0, None, None].expand_as(x)
    return _grouped(pictures.scene, [SCENES[name] for name in patterns], x, y, phase, noise_NHW)
