"""Geometry: where each part of the object falls on the canvas.

Every part is one shape, a box or an ellipse that may be turned, tapered, cut at a height or hollow
(`parts.csv`); an object is its parts, painted one after the other. The canvas spans [-1, 1] with y upwards.
"""

from dataclasses import dataclass
from functools import cache

import torch

from featurelens.miniature.world import Pictures, names, table

_COLUMNS = ["x", "y", "w", "h", "turn", "round", "taper", "cut", "hollow", "paint"]


@cache
def part_table() -> torch.Tensor:
    """Parts of every object, shape (objects, slots, columns); unused slots have zero width."""
    parts = table("parts")
    groups = [parts[parts.object == name] for name in names("object")]
    values = torch.zeros(len(groups), max(map(len, groups)), len(_COLUMNS))
    for row, group in zip(values, groups, strict=True):
        row[: len(group)] = torch.tensor(group[_COLUMNS].to_numpy(dtype="float32"))
    return values


@dataclass(frozen=True)
class Shape:
    """Geometry of N pictures on an H x W canvas."""

    u_NHW: torch.Tensor  # object coordinates of each pixel: right
    v_NHW: torch.Tensor  # and up
    cover_NHW: torch.Tensor  # share of the pixel that the object covers
    second_NHW: torch.Tensor  # share of that cover in the second colour
    ink_NHW: torch.Tensor  # outline strength, for the styles that draw outlines
    slot_NHW: torch.Tensor  # topmost part that covers at least half the pixel, -1 outside the object


def canvas(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel centres: x of shape (1, W) and y, upwards, of shape (H, 1), both in [-1, 1]."""
    x_W = (torch.arange(width) + 0.5) * (2 / width) - 1
    y_H = 1 - (torch.arange(height) + 0.5) * (2 / height)
    return x_W[None, :], y_H[:, None]


def _object_coordinates(pictures: Pictures, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    x_1W, y_H1 = canvas(height, width)
    px, py, scale, turn, shear, mirror = (column[:, None, None] for column in pictures.pose.unbind(1))
    x, y = (x_1W - px) / scale, (y_H1 - py) / scale
    u = turn.cos() * x + turn.sin() * y
    v = turn.cos() * y - turn.sin() * x
    return (u - shear * v) * mirror, v


def _signed_distance(u: torch.Tensor, v: torch.Tensor, part_NC: torch.Tensor) -> torch.Tensor:
    """Approximate distance to one part per picture, in object units; negative inside."""
    x, y, w, h, turn, is_round, taper, cut, hollow, _ = (c[:, None, None] for c in part_NC.unbind(1))
    turn = torch.deg2rad(turn)
    du, dv = u - x, v - y
    a = turn.cos() * du + turn.sin() * dv
    b = turn.cos() * dv - turn.sin() * du
    rise = (b / h.clamp(min=1e-3)).clamp(-1, 1)
    width = w * (1 - taper * (rise + 1) / 2)
    box = torch.maximum(a.abs() - width, b.abs() - h)
    radius = ((a / w.clamp(min=1e-3)) ** 2 + (b / h.clamp(min=1e-3)) ** 2).sqrt()
    distance = torch.where(is_round > 0, (radius - 1) * torch.minimum(w, h), box)
    distance = torch.where(hollow > 0, (distance + hollow).abs() - hollow, distance)
    distance = torch.maximum(distance, cut * h - b)
    return torch.where(w > 0, distance, torch.full_like(distance, 9.0))


def draw(pictures: Pictures, height: int, width: int) -> Shape:
    """Lay the parts of each picture's object on the canvas, later parts over earlier ones."""
    u, v = _object_coordinates(pictures, height, width)
    scale = pictures.pose[:, 2, None, None]
    pixel = 2 / (min(height, width) * scale)
    line = 0.055 + 0.35 * pixel
    cover, second, ink = (torch.zeros_like(u) for _ in range(3))
    slot = torch.full(u.shape, -1, dtype=torch.int8)
    for number, part_NC in enumerate(part_table()[pictures.object].unbind(1)):
        distance = _signed_distance(u, v, part_NC)
        inside = (0.5 - distance / pixel).clamp(0, 1)
        outline = (1 - (distance.abs() - line) / pixel).clamp(0, 1)
        cover = torch.maximum(cover, inside)
        second = second + inside * (part_NC[:, -1, None, None] - second)
        ink = torch.maximum(ink * (1 - inside), outline)
        slot = torch.where(inside >= 0.5, number, slot)
    return Shape(u, v, cover, second, ink, slot)
