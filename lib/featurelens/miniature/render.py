"""The renderer: attributes in, RGB pictures out, in batched torch.

A picture is composed as paint, texture, material and light over a scene, then handed to its style.
The same (set, index) gives the same bytes at any batch size.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch.nn import functional as F

from featurelens.miniature import draws, shapes, surfaces
from featurelens.miniature.shapes import Shape
from featurelens.miniature.world import Pictures, names, sample, table

Tensor = torch.Tensor
_CHUNK = 128  # pictures rendered together: their planes stay in the processor's cache
_LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]


@cache
def palette() -> Tensor:
    """RGB of every named colour, (colours, 3) in [0, 1]."""
    return torch.tensor(table("colours")[["r", "g", "b"]].to_numpy(dtype="float32"))


@cache
def _scene_colours() -> tuple[Tensor, Tensor, Tensor]:
    """Upper and lower colour of every scene, (scenes, 3), and the height of its horizon."""
    scenes, order = table("scenes"), list(table("colours").name)

    def half(name: str) -> Tensor:
        colour = palette()[[order.index(colour) for colour in scenes[name]]]
        white = torch.tensor(scenes[f"{name}_mix"].to_numpy(dtype="float32"))[:, None]
        return colour + white * (1 - colour)

    return half("upper"), half("lower"), torch.tensor(scenes.horizon.to_numpy(dtype="float32"))


def _paint(flat_N3: Tensor) -> Tensor:
    """One colour per picture, shaped to spread over its pixels."""
    return flat_N3[:, :, None, None]


def _paints(pictures: Pictures, shape: Shape) -> Tensor:
    """The object's two colours, each where its parts have it."""
    second = shape.second_NHW[:, None]
    return _paint(palette()[pictures.colour]) * (1 - second) + _paint(palette()[pictures.colour2]) * second


def _background(pictures: Pictures, height: int, width: int, noise: Tensor) -> Tensor:
    x, y = (plane.expand_as(noise) for plane in shapes.canvas(height, width))
    upper, lower, horizon = _scene_colours()
    ground = ((horizon[pictures.scene][:, None, None] - y) * height / 2 + 0.5).clamp(0, 1)[:, None]
    rgb = _paint(upper[pictures.scene]) * (1 - ground) + _paint(lower[pictures.scene]) * ground
    rgb = rgb + surfaces.scene(pictures, list(table("scenes").pattern), x, y, noise)[:, None]
    here, cx, cy, size, colour = (column[:, None, None] for column in pictures.clutter[:, :5].unbind(1))
    radius = 0.12 + 0.16 * size
    away = torch.maximum((x - 2 * cx + 1).abs(), (y - 2 * cy + 1).abs())
    blob = (here * ((radius - away) * height / 2 + 0.5).clamp(0, 1))[:, None]
    clutter_colour = palette()[(colour[:, 0, 0] * len(palette())).long()]
    return rgb + blob * (_paint(clutter_colour) - rgb)


def _object(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    """Paint, texture and material of the object on the whole canvas (its cover is applied later)."""
    rgb = _paints(pictures, shape)
    ink = ((rgb * _LUMA).sum(1, keepdim=True) < 0.42).float() * 0.95
    pattern = surfaces.texture(pictures, shape.u_NHW, shape.v_NHW)[:, None] * (1 - shape.second_NHW[:, None])
    rgb = rgb + 0.62 * pattern * (ink - rgb)
    return rgb + surfaces.material(pictures, shape.u_NHW, shape.v_NHW, noise)[:, None]


def _composed(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    background = _background(pictures, *noise.shape[1:], noise)
    is_glass = (pictures.material == names("material").index("glass"))[:, None, None]
    opacity = (shape.cover_NHW * torch.where(is_glass, 0.72, 1.0))[:, None]
    return background + opacity * (_object(pictures, shape, noise) - background)


def _lit(pictures: Pictures, rgb: Tensor) -> Tensor:
    x, y = shapes.canvas(*rgb.shape[2:])
    angle, amount, gain = (column[:, None, None] for column in pictures.light.unbind(1))
    return rgb * (gain * (1 + amount * (angle.cos() * x + angle.sin() * y)))[:, None]


def _photo(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    return _lit(pictures, _composed(pictures, shape, noise))


def _sketch(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    shade = 0.16 * shape.cover_NHW * shape.second_NHW
    return (0.96 - 0.85 * shape.ink_NHW - shade)[:, None].expand(-1, 3, -1, -1)


def _painting(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    rgb = F.avg_pool2d(F.pad(_photo(pictures, shape, noise), (1, 1, 1, 1), mode="replicate"), 3, 1)
    x, y = shapes.canvas(*noise.shape[1:])
    strokes = 0.12 * (surfaces.wave(5 * x + 3 * y + pictures.phase[:, 1, None, None]) - 0.5)
    return ((rgb + strokes[:, None]) * 4).round() / 4


def _cartoon(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    rgb = _paint(0.5 + 0.5 * _scene_colours()[0][pictures.scene])
    rgb = rgb + shape.cover_NHW[:, None] * (1.15 * _paints(pictures, shape) - rgb)
    return rgb * (1 - shape.ink_NHW[:, None])


def _mosaic(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    height, width = noise.shape[1:]
    stones = F.adaptive_avg_pool2d(_photo(pictures, shape, noise), (16, 16))
    stones = stones + 0.10 * F.adaptive_avg_pool2d(noise, (16, 16))[:, None]
    return F.interpolate(stones, (height, width), mode="nearest")


def _embroidery(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    second, lower = shape.second_NHW[:, None], _scene_colours()[1]
    paint = _paint(palette()[pictures.colour]) * (1 - second) + _paint(palette()[pictures.colour2]) * second
    rgb = (
        _paint(0.6 + 0.4 * lower[pictures.scene]) * (1 - shape.cover_NHW[:, None])
        + paint * shape.cover_NHW[:, None]
    )
    x, y = shapes.canvas(*noise.shape[1:])
    stitch = 0.72 + 0.4 * surfaces.wave(8 * x + 8 * y)
    return (rgb - 0.4 * shape.ink_NHW[:, None]) * stitch


def _neon(pictures: Pictures, shape: Shape, noise: Tensor) -> Tensor:
    glow = F.avg_pool2d(F.pad(shape.ink_NHW[:, None], (1, 1, 1, 1)), 3, 1)
    colour = _paint(0.25 + 0.75 * palette()[pictures.colour])
    return 0.05 + colour * (0.9 * shape.ink_NHW[:, None] + 0.5 * glow)


_STYLES: dict[str, Callable[[Pictures, Shape, Tensor], Tensor]] = {
    "photo": _photo,
    "sketch": _sketch,
    "painting": _painting,
    "cartoon": _cartoon,
    "mosaic": _mosaic,
    "embroidery": _embroidery,
    "neon": _neon,
}


def _render_chunk(pictures: Pictures, style: str, height: int, width: int) -> Tensor:
    noise = draws.pixel_noise(pictures.seed, pictures.index, height, width)
    rgb = _STYLES[style](pictures, shapes.draw(pictures, height, width), noise)
    rgb = rgb + pictures.noise * noise[:, None].flip(3)
    return (rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def render_pictures(pictures: Pictures, height: int = 32, width: int = 32) -> Tensor:
    """Render pictures with given attributes: uint8 of shape (N, H, W, 3)."""
    out = torch.empty(len(pictures), height, width, 3, dtype=torch.uint8)
    for number, style in enumerate(names("style")):
        for rows in (pictures.style == number).nonzero().flatten().split(_CHUNK):
            out[rows] = _render_chunk(pictures[rows], style, height, width)
    return out


def render(image_set: str, index_N: Tensor, height: int = 32, width: int = 32) -> Tensor:
    """Render pictures ``index_N`` of an image set: uint8 of shape (N, H, W, 3)."""
    return render_pictures(sample(image_set, index_N), height, width)
