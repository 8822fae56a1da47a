"""The miniature world: what can be in a picture, and which picture has what.

A picture is an object with a texture, a material and two colours, posed before a scene and rendered in a
style. All that the world contains is in ``tables/``: objects as tapered, rounded boxes (`parts.csv`),
words, colours, scenes, styles, the habits that tie a class to a scene or a texture in the `base`
sets, as shooting habits do in ImageNet, and the image sets. :func:`sample` draws the attributes of any
picture from (set, index) alone.
"""

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import pandas as pd
import torch

from featurelens import checks
from featurelens.miniature import draws

_TABLES = Path(__file__).parent / "tables"
KINDS = ("object", "texture", "material", "scene", "style", "colour")


@cache
def table(name: str) -> pd.DataFrame:
    """One of the world's tables (``parts``, ``words``, ``colours``, ``scenes``, ``styles``, …)."""
    known = sorted(path.stem for path in _TABLES.glob("*.csv"))
    return pd.read_csv(_TABLES / f"{checks.known('table', name, known)}.csv")


@cache
def names(kind: str) -> tuple[str, ...]:
    """Names of one kind of attribute (one of ``KINDS``), in the order that integer attributes index."""
    words = table("words")
    return tuple(words.name[words.kind == checks.known("kind", kind, KINDS)])


@dataclass(frozen=True)
class Pictures:
    """Attributes of N pictures: everything the renderer, the captions and the concept masks need.

    Integer tensors index :func:`names`; ``pose`` holds x, y, scale, turn (radians), shear and mirror.
    """

    index: torch.Tensor
    object: torch.Tensor
    texture: torch.Tensor
    material: torch.Tensor
    scene: torch.Tensor
    style: torch.Tensor
    colour: torch.Tensor
    colour2: torch.Tensor
    pose: torch.Tensor
    light: torch.Tensor
    clutter: torch.Tensor
    phase: torch.Tensor
    noise: float
    seed: int

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: slice | torch.Tensor) -> "Pictures":
        """The same attributes for some of the pictures."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Pictures(**{k: v[rows] if isinstance(v, torch.Tensor) else v for k, v in values.items()})


def set_row(image_set: str) -> pd.Series:
    """The row of `image_sets.csv` that defines ``image_set``."""
    sets = table("image_sets").set_index("name")
    return sets.loc[checks.known("miniature image set", image_set, sets.index)]


def _choose(u_N: torch.Tensor, options: int) -> torch.Tensor:
    return (u_N * options).long()


def _habit(kind: str, object_N: torch.Tensor) -> torch.Tensor:
    habits = table("habits").set_index("object")[kind]
    order = [names(kind).index(habits[name]) for name in names("object")]
    return torch.tensor(order)[object_N]


def sample(image_set: str, index_N: torch.Tensor) -> Pictures:
    """Draw the attributes of pictures ``index_N`` of ``image_set`` (see `image_sets.csv`).

    Classes are exactly balanced: picture i shows class i mod C. With probability ``habit`` a picture takes
    its class's usual scene, texture, material or colour, each drawn apart; otherwise any.
    """
    row, u = set_row(image_set), draws.uniform(int(set_row(image_set).seed), index_N, 32)
    object_N = index_N % len(names("object"))
    styles = torch.tensor([names("style").index(name) for name in row.styles.split("|")])

    def attribute(kind: str, slot: int) -> torch.Tensor:
        free_N = _choose(u[:, slot], len(names(kind)))
        return torch.where(u[:, slot + 1] < row.habit, _habit(kind, object_N), free_N)

    colour_N, colours = attribute("colour", 6), len(names("colour"))
    # Any colour but the first one, so that parts of two colours can be told apart.
    colour2_N = (colour_N + 1 + _choose(u[:, 8], colours - 1)) % colours
    spread = 2 * u[:, 12:18] - 1
    pose = torch.stack(
        [
            spread[:, 0] * row["shift"],
            spread[:, 1] * row["shift"],
            row.scale_low + u[:, 18] * (row.scale_high - row.scale_low),
            torch.deg2rad(spread[:, 2] * row.turn),
            spread[:, 3] * row.shear,
            torch.where(u[:, 19] < 0.5, -1.0, 1.0),
        ],
        dim=1,
    )
    return Pictures(
        index=index_N,
        object=object_N,
        texture=attribute("texture", 0),
        material=attribute("material", 2),
        scene=attribute("scene", 4),
        style=styles[_choose(u[:, 9], len(styles))],
        colour=colour_N,
        colour2=colour2_N,
        pose=pose,
        light=torch.stack([u[:, 20] * 6.2832, u[:, 21] * row.light, 1 + spread[:, 4] * 0.5 * row.light], 1),
        clutter=torch.cat([(u[:, 22:23] < row.clutter).float(), u[:, 23:28]], 1),
        phase=u[:, 28:32],
        noise=float(row.noise),
        seed=int(row.seed),
    )
