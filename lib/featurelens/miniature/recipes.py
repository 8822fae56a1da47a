"""Which networks the zoo has and how each is trained: a table read as :class:`Recipe` rows.

`regimes.csv` says what a regime learns from: three ResNets and one ViT each unless stated. `baselines.csv`
lists the supervised networks that give the baseline line of effective robustness; `singles.csv` networks that
were made to show one thing, and that no comparison of regimes includes.
"""

from dataclasses import dataclass
from functools import cache

from featurelens import checks
from featurelens.miniature.world import table

SEEDS = {"resnet": (0, 1, 2), "vit": (0,)}
BATCH = 256
# The network whose mistakes make up the `adversarial` set, as a ResNet-50 did for ImageNet-A.
REFERENCE = "reference-resnet"


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run."""

    name: str
    regime: str
    backbone: str
    seed: int
    objective: str  # "contrastive", "labels" or "none"
    data: str
    images_seen: int
    lr: float
    weight_decay: float
    shipped: bool
    width: int | None = None
    start: str | None = None  # recipe whose weights it starts from
    batch: int = BATCH
    optimizer: str = "adamw"
    logit_scale: float | None = None  # learned
    final_norm: bool | None = None  # a ViT has one, a ResNet has none

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return self.images_seen // self.batch


def _regime(regime: str) -> dict:
    row = table("regimes").set_index("regime").loc[regime]
    return dict(
        regime=regime,
        objective=str(row.objective),
        data=row.data,
        lr=float(row.lr),
        weight_decay=float(row.weight_decay),
        shipped=bool(row.shipped),
    )


@cache
def recipes() -> dict[str, Recipe]:
    """Every recipe by name, in training order: a network that another starts from comes first."""
    out: dict[str, Recipe] = {}
    for row in table("regimes").set_index("regime").itertuples():
        if row.Index == "baseline":
            continue
        for backbone, seeds in SEEDS.items():
            images = int(getattr(row, f"{backbone}_images"))
            for seed in seeds:
                name = f"{row.Index}-{backbone}-s{seed}"
                start = f"{row.start}-{backbone}-s{seed}" if isinstance(row.start, str) else None
                fixed = dict(backbone=backbone, seed=seed, images_seen=images, start=start)
                out[name] = Recipe(name=name, **fixed, **_regime(row.Index))
    for row in table("baselines").itertuples():
        fixed = dict(backbone=row.backbone, seed=row.seed, images_seen=row.images_seen, width=row.width)
        out[row.name] = Recipe(name=row.name, **fixed, **_regime("baseline"))
    for row in table("singles").drop(columns="what").to_dict("records"):
        out[row["name"]] = Recipe(**{**row, "final_norm": bool(row["final_norm"])}, shipped=True)
    return out


def singles() -> list[str]:
    """Networks made to show one thing: they ship, but are part of no comparison."""
    return list(table("singles").name)


def recipe(name: str) -> Recipe:
    """One recipe.

    Raises:
        UnknownNameError: no such network; the message names the nearest.
    """
    every = recipes()
    return every[checks.known("miniature network", name, every)]
