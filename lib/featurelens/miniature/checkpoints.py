"""Checkpoints of the miniature zoo: half-precision safetensors in ``data/miniature/``.

Half precision halves the repository; the card in that folder says what it costs in accuracy.
"""

import hashlib
import json
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from featurelens import atomic, checks, paths, stamps
from featurelens.miniature.recipes import Recipe, recipe, recipes, singles
from featurelens.miniature.towers import Tower
from featurelens.miniature.world import names as world_names


def build(spec: Recipe) -> Tower:
    """The untrained network of a recipe, its weights drawn from the recipe's seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        contrastive = spec.objective == "contrastive"
        joint = contrastive or spec.start is not None or spec.objective == "none"
        classes = len(world_names("object")) if spec.objective == "labels" else 0
        own = {"width": spec.width, "logit_scale": spec.logit_scale, "final_norm": spec.final_norm}
        return Tower(spec.backbone, joint=joint, text=contrastive, classes=classes, **own)


def path(name: str) -> Path:
    """File of a network: shipped ones in ``data/miniature/``, the others in the cache."""
    folder = paths.data() if recipe(name).shipped else paths.cache()
    return folder / "miniature" / f"{name}.safetensors"


def log_path(name: str) -> Path:
    """Training log of a network, beside its checkpoint."""
    return path(name).parent / "logs" / f"{name}.csv"


def shipped() -> list[str]:
    """Networks that ship with the project."""
    return [name for name, spec in recipes().items() if spec.shipped]


def names() -> list[str]:
    """Networks of the regimes that the chapters compare: those that ship, without the singles."""
    return [name for name in shipped() if name not in singles()]


def save(name: str, tower: Tower, card: dict) -> None:
    """Write a network in half precision, atomically, with its card as metadata."""
    half = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in tower.state_dict().items()}
    with atomic.replacing(path(name)) as part:
        save_file(half, part, metadata={"card": json.dumps(card, sort_keys=True)})


def card(name: str) -> dict:
    """The recipe, seeds and versions a network was trained with."""
    with _open(name) as file:
        return json.loads(file.metadata()["card"])


def _open(name: str) -> safe_open:
    file = path(name)
    if not file.exists():
        raise FileNotFoundError(f"no checkpoint {file.name}: run `featurelens miniature train --only {name}`")
    try:
        return safe_open(stamps.read(file), framework="pt")
    except SafetensorError as error:
        raise ValueError(
            f"checkpoint {file.name} is damaged ({error}): restore it or train it again"
        ) from None


def checksums() -> str:
    """SHA-256 of every shipped file in ``data/miniature/``, one a line, as ``sha256sum`` prints them."""
    folder = paths.data() / "miniature"
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".safetensors", ".csv"))
    hashes = (hashlib.sha256(p.read_bytes()).hexdigest() for p in files)
    return "".join(f"{h}  {p.relative_to(folder).as_posix()}\n" for h, p in zip(hashes, files, strict=True))


@cache
def load(name: str) -> Tower:
    """A trained network in float32, in evaluation mode.

    Raises:
        UnknownNameError: no such network.
        FileNotFoundError: its checkpoint is not there.
        ValueError: the checkpoint is truncated or belongs to another network.
    """
    checks.known("miniature network", name, recipes())
    with _open(name) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    tower = build(recipe(name))
    try:
        tower.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(
            f"checkpoint {name} holds another network: {str(error).splitlines()[1].strip()}"
        ) from None
    return tower.float().eval().requires_grad_(False)
