"""Which encoders exist, and one way to load any of them.

A row of ``tables/zoo.csv`` or ``tables/clip16.csv`` is all it takes to add an encoder. Beside the tables:
the miniature's checkpoints, any model with weights of timm, open_clip or the hub, networks that a training
recipe wrote, and your own module. Weights are always real ones: where they cannot be had there is an error,
never a random network.
"""

import csv
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from featurelens import checks, hub
from featurelens.compute import PLAIN, Compute
from featurelens.encoder import PACKAGES, Encoder, adapted, told, wrap
from featurelens.heads import LinearHead
from featurelens.preprocess import from_transform, square

TABLE = Path(__file__).parent / "tables" / "zoo.csv"
CLIPS = TABLE.with_name("clip16.csv")
MINIATURE_PX = 32


def names() -> list[str]:
    """Names of the tables and of the miniature's checkpoints; :func:`load` knows further ones."""
    return [*table(), *(f"miniature/{name}" for name in _miniature().shipped())]


@cache
def table() -> dict[str, dict[str, str]]:
    """Rows by name: loader (open_clip, timm, package), model, weights, training regime, data, licence."""
    with TABLE.open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    with CLIPS.open(newline="") as file:
        for row in csv.DictReader(file):
            described = {"model": row["model"], "weights": row["tag"], "data": row["data"], "licence": ""}
            rows[row["name"]] = {
                "name": row["name"],
                "loader": "open_clip",
                "regime": "clip-web",
                **described,
            }
    return rows


def load(
    name_or_module: str | nn.Module,
    preprocess: Callable | None = None,
    *,
    layers: Sequence[str] = (),
    compute: Compute = PLAIN,
) -> Encoder:
    """Load an encoder by name, or make one of your own module. Networks go to the GPU if there is one.

    Names: those of :func:`names`; ``timm/<model>``, or ``timm/<model>/<file>`` with weights of your own;
    ``open_clip/<model>/<tag or .safetensors>``; ``hf-hub:<repository>``; a folder with open_clip's or timm's
    configuration (``local-dir:<folder>`` where the name means something else too); the path of a
    ``.safetensors`` that a training recipe wrote. A folder's own name stands for it in the encoder's.

    A module must map a batch of pictures to a matrix (N x D), or to a dict of such matrices named ``pre``
    and ``joint``; it is set to evaluation mode and needs ``preprocess``. A timm classifier may be handed
    over whole: its penultimate features are taken.

    ``layers`` adds feature points inside the network (see :mod:`featurelens.layers`), ``compute`` another
    way to compute it (see :mod:`featurelens.compute`), which is compared with the plain one.

    Raises:
        UnknownNameError: no such encoder, or no such layer.
        ModuleNotFoundError: the package with its weights is not installed.
        FileNotFoundError: no such folder or file.
        Unreachable: its weights cannot be fetched.
        TypeError, ValueError: the module or its preprocessing does not give a feature matrix; weights of
            another network, or pictures with another mean and deviation than it was trained with.
        FloatingPointError: ``compute`` changes the features by more than rounding does.
    """
    layers = (layers,) if isinstance(layers, str) else layers
    if isinstance(name_or_module, nn.Module):
        plain = wrap(type(name_or_module).__name__, name_or_module, preprocess)
        plain.identity["probe"] = told(plain)  # no version tells what your own code does
    elif isinstance(name_or_module, str):
        plain = _named(name_or_module, preprocess)
    else:
        found = type(name_or_module).__name__
        raise TypeError(f"expected the name of an encoder or a torch module, found {found}")
    return adapted(plain, layers, compute) if layers or compute != PLAIN else plain


def _named(name: str, preprocess: Callable | None) -> Encoder:
    if row := table().get(name):
        return _LOADERS[row["loader"]](name, row["model"], row["weights"], preprocess)
    if name.startswith("timm/"):
        model, own, file = name.removeprefix("timm/").partition("/")
        return _own(model, Path(file), preprocess) if own else _timm(name, model, "", preprocess)
    if name.startswith("open_clip/") and name.count("/") > 1:
        _, model, start = name.split("/", 2)
        is_file = start.endswith(".safetensors")
        short = f"open_clip/{model}/{Path(start).stem}" if is_file else name
        return _open_clip(short, model, start, preprocess)
    if name not in names() and hub.is_model(Path(name).expanduser()):
        name = f"{hub.FOLDER}{Path(name).expanduser()}"
    if name.startswith(hub.SOURCES):
        short = f"local-dir/{Path(name.removeprefix(hub.FOLDER)).name}" if hub.FOLDER in name else name
        return (_open_clip if hub.holds_clip(name) else _timm)(short, name, "", preprocess)
    if name.endswith(".safetensors"):
        from featurelens import recipes

        if preprocess is not None:
            raise TypeError(f"{name}: expected no preprocess= with a file that says it itself, found one")
        return recipes.load(name)
    if name.endswith((".pth", ".pt", ".bin")):
        raise ValueError(f"{name}: expected timm/MODEL/FILE, found a file of weights without its model")
    checks.known("encoder", name, names() if name in names() else {*names(), *_of_timm(name)})
    tower = _miniature().load(name.removeprefix("miniature/"))
    return wrap(name, tower, preprocess or square(MINIATURE_PX), _miniature_head(tower))


def _of_timm(name: str) -> list[str]:
    """The name that one of timm's models has here, for who left out where it is from."""
    import timm

    return [f"timm/{name}"] if timm.is_model(name.partition(".")[0]) else []


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _miniature():
    return import_module("featurelens.miniature.checkpoints")


def _miniature_head(tower: nn.Module) -> LinearHead | None:
    """Classifier or zero-shot head of a miniature network; None for an untrained one."""
    from featurelens.miniature import objectives, world

    if tower.text is None and tower.classifier is None:
        return None
    return objectives.head(tower, world.names("object"))


def _open_clip(name: str, source: str, start: str, preprocess: Callable | None) -> Encoder:
    from featurelens import clips, towers  # open_clip takes seconds to import

    clip = clips.load(source, start)
    steps = from_transform(preprocess or clip.transform)
    steps.expect(name, clip.mean, clip.std)
    tower = towers.Tower(clip.network.visual).to(_device())
    text = towers.Text(clip.network, clip.tokenizer)
    return wrap(name, tower, steps, text=text, packages=(*PACKAGES, "open_clip_torch"))


def _timm(name: str, model: str, weights: str, preprocess: Callable | None) -> Encoder:
    """A timm model with its published weights; ``weights`` is the repository they are in, if not its own."""
    import timm

    if not model.startswith(hub.SOURCES) and not timm.is_model(model):
        checks.known("encoder", name, [f"timm/{known}" for known in timm.list_models()])
    try:
        module = timm.create_model(model, pretrained=True).to(_device())
    except OSError as error:  # the hub's "not in the cache and no network" is one
        if model.startswith(hub.FOLDER):
            raise FileNotFoundError(f"{model}: expected weights in that folder, found none") from error
        published = None if model.startswith(hub.HUB) else timm.get_pretrained_cfg(model).hf_hub_id
        raise hub.unreachable(name, weights or published or model.removeprefix(hub.HUB), error) from error
    except RuntimeError as error:
        raise ValueError(f"{name}: expected weights of that model, found: {hub.line(error)}") from error
    encoder = wrap(name, module, preprocess)
    encoder.preprocess.expect(name, module.pretrained_cfg["mean"], module.pretrained_cfg["std"])
    return encoder


def _own(model: str, file: Path, preprocess: Callable | None) -> Encoder:
    """A timm model with the weights in a file; pictures are prepared as timm does it for that model."""
    from featurelens import own_weights

    module = own_weights.load(model, file.expanduser()).to(_device())
    return wrap(f"timm/{model}/{file.stem}", module, preprocess)


def _package(name: str, model: str, weights: str, preprocess: Callable | None) -> Encoder:
    """A timm model, filled tensor for tensor in order with the weights that ship inside a package."""
    return wrap(name, _filled(model, weights).to(_device()), preprocess)


def _filled(model: str, package: str) -> nn.Module:
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


_LOADERS = {"open_clip": _open_clip, "timm": _timm, "package": _package}
