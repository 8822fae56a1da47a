"""Concept masks: which pixels show which concept, in the six categories of Broden.

A concept is marked only where the style shows it: a pencil drawing has objects and parts, but neither
colour nor material nor scene. Categories: color, object, part, material, scene, texture (Bau et al., 2017).
"""

from dataclasses import dataclass
from functools import cache

import torch

from featurelens.miniature import shapes
from featurelens.miniature.world import Pictures, names, table

CATEGORIES = ("color", "object", "part", "material", "scene", "texture")


@dataclass(frozen=True)
class Masks:
    """Concepts of N pictures: ``mask_NTHW[n, t]`` is true where picture n shows concept t."""

    names: tuple[str, ...]
    categories: tuple[str, ...]
    mask_NTHW: torch.Tensor

    @property
    def present_NT(self) -> torch.Tensor:
        """Image-level labels: a concept is present if any pixel shows it."""
        return self.mask_NTHW.any(3).any(2)


@cache
def _slots() -> torch.Tensor:
    """Index of each object's parts among the part names, (objects, slots); -1 for an unused slot."""
    parts, order = table("parts"), part_names()
    out = torch.full(shapes.part_table().shape[:2], -1)
    for row, name in zip(out, names("object"), strict=True):
        own = [order.index(part) for part in parts.part[parts.object == name]]
        row[: len(own)] = torch.tensor(own)
    return out


@cache
def part_names() -> tuple[str, ...]:
    """Names of all parts; a window is one part whether of a house, a car or a rocket."""
    return tuple(sorted(set(table("parts").part)))


def _one_hot(choice_N: torch.Tensor, options: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(choice_N, options).bool()[:, :, None, None]


def _shown(pictures: Pictures, column: str) -> torch.Tensor:
    shown = torch.tensor(table("styles")[column].to_numpy() == 1)
    return shown[pictures.style][:, None, None, None]


def _colours(pictures: Pictures, inside: torch.Tensor, second: torch.Tensor, height: int) -> torch.Tensor:
    """Named colours of paint and of the scene's upper and lower half."""
    colours, scenes = list(names("colour")), table("scenes")
    above, below = (
        torch.tensor([colours.index(colour) for colour in scenes[half]])[pictures.scene]
        for half in ("upper", "lower")
    )
    horizon = torch.tensor(scenes.horizon.to_numpy(dtype="float32"))[pictures.scene][:, None, None, None]
    sky = (shapes.canvas(height, 1)[1] > horizon) & _shown(pictures, "shows_scene")
    ground = (shapes.canvas(height, 1)[1] <= horizon) & _shown(pictures, "shows_scene")
    count = len(colours)
    scene = (_one_hot(above, count) & sky | _one_hot(below, count) & ground) & ~inside
    first, other = _one_hot(pictures.colour, count), _one_hot(pictures.colour2, count)
    paint = first & inside & ~second | other & inside & second
    return (scene | paint) & _shown(pictures, "shows_colour")


def masks(pictures: Pictures, height: int = 32, width: int = 32) -> Masks:
    """Masks of every concept of the world for some pictures, bool of shape (N, T, H, W)."""
    shape = shapes.draw(pictures, height, width)
    inside, second = (shape.slot_NHW >= 0)[:, None], (shape.second_NHW >= 0.5)[:, None]
    surface = inside & _shown(pictures, "shows_surface")
    outside = ~inside & _shown(pictures, "shows_scene")
    slot_NHW = shape.slot_NHW.clamp(min=0).long().flatten(1)
    part_NHW = _slots()[pictures.object].gather(1, slot_NHW).view(-1, 1, height, width)
    parts = torch.arange(len(part_names()))[None, :, None, None]
    by_category = {
        "color": _colours(pictures, inside, second, height),
        "object": _one_hot(pictures.object, len(names("object"))) & inside,
        "part": (part_NHW == parts) & inside,
        "material": _one_hot(pictures.material, len(names("material"))) & surface,
        "scene": _one_hot(pictures.scene, len(names("scene"))) & outside,
        "texture": _one_hot(pictures.texture, len(names("texture"))) & surface & ~second,
    }
    words = {"color": names("colour"), "part": part_names()}
    concepts = [(name, c) for c in CATEGORIES for name in words.get(c) or names(c)]
    mask_NTHW = torch.cat([by_category[c].expand(-1, -1, height, width) for c in CATEGORIES], dim=1)
    return Masks(tuple(name for name, _ in concepts), tuple(c for _, c in concepts), mask_NTHW)
