"""CLIP-like networks with their published weights, through open_clip; never with random ones.

By a tag of open_clip, by a file, by a repository on the hub or a folder like one. The way pictures are
prepared comes with the weights, and weights that need another network than the one named are refused.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import open_clip
import torch
from open_clip.pretrained import download_pretrained, download_pretrained_from_hf, get_pretrained_cfg
from open_clip.transform import MaybeConvertMode, PreprocessCfg, image_transform_v2
from safetensors import SafetensorError, safe_open
from torch import nn
from torchvision import transforms

from featurelens import checks, hub
from featurelens.hub import HUB

INFO = "featurelens"  # key of the metadata in a file of weights written by a recipe


class Clip(NamedTuple):
    """A network, picture -> tensor, texts -> tokens, and the mean and standard deviation of its pictures."""

    network: nn.Module
    transform: Callable
    tokenizer: Callable[[list[str]], torch.Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(source: str, start: str = "") -> Clip:
    """Load a network of open_clip and its weights.

    ``source`` is ``hf-hub:<repository>``, ``local-dir:<folder>``, or a model's name; then ``start`` is a tag
    or the path of a ``.safetensors``.

    Raises:
        UnknownNameError: open_clip has no such model, or no such weights for it.
        ValueError: weights of another network, or one with the other activation.
        Unreachable: the weights cannot be fetched.
    """
    if not source.startswith(hub.SOURCES):
        check(source, start)
    network = started(source, start)
    config = dict(network.visual.preprocess_cfg)
    if start.endswith(".safetensors"):  # one that a recipe wrote says how its pictures were prepared
        config |= (file_info(Path(start)) or {}).get("preprocess", {})
    stated = get_pretrained_cfg(source, start) or config
    return Clip(network, evaluation(config), tokenizer(source), tuple(stated["mean"]), tuple(stated["std"]))


def check(model: str, start: str) -> None:
    """Refuse weights that are not the model's, before anything is built.

    Raises:
        UnknownNameError: open_clip has no such model, or no such weights for it.
        FileNotFoundError: no file of weights at that path.
        ValueError: weights of another network, or one with the other activation.
    """
    checks.known("open_clip model", model, open_clip.list_models())
    if start.endswith(".safetensors") or Path(start).is_file():
        described = file_info(Path(start)) if start.endswith(".safetensors") else None
        if described and described["model"] != model:
            raise ValueError(f"{start}: expected weights of {model}, found those of {described['model']}")
        return
    tags, quick = open_clip.list_pretrained_tags_by_model, model.endswith("-quickgelu")
    other = model.removesuffix("-quickgelu") if quick else f"{model}-quickgelu"
    ours, theirs = open_clip.get_model_config(model), get_pretrained_cfg(model, start)
    differs = (
        bool(ours.get("quick_gelu")) != bool(theirs.get("quick_gelu")) if theirs else start in tags(other)
    )
    if differs:
        # open_clip would only warn, and the features be wrong
        raise ValueError(
            f"{model}: expected {other} for the weights {start!r}, which have the other activation"
        )
    checks.known(f"weights of {model}", start, tags(model))


def started(source: str, start: str = "") -> nn.Module:
    """A network with its weights, as :func:`load` names them; the names are not checked.

    Raises:
        ValueError: weights of another network.
        Unreachable: the weights cannot be fetched.
    """
    _fetch(source, start)
    try:
        return open_clip.create_model_from_pretrained(
            source, start or None, return_transform=False, weights_only=True
        )
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"{start or source}: expected weights of {source}, found: {hub.line(error)}"
        ) from error


def _fetch(source: str, start: str) -> None:
    """Have the weights in the hub's cache, so that what goes wrong afterwards is not the network's fault."""
    tag = get_pretrained_cfg(source, start)
    repository = source.removeprefix(HUB) if source.startswith(HUB) else tag.get("hf_hub", "").strip("/")
    try:
        if source.startswith(HUB):
            download_pretrained_from_hf(repository)
        elif tag:
            download_pretrained(tag)
    except (RuntimeError, OSError) as error:
        raise hub.unreachable(f"{source} {start}".strip(), repository, error) from error


def evaluation(config: dict) -> transforms.Compose:
    """Picture -> tensor as open_clip does it for evaluation, of plain values (its ``PreprocessCfg``).

    Written as timm writes the same steps, so that encoders of both share one crop: the size is a list, and
    there is no step to RGB, since pictures are converted before.
    """
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}
    steps = image_transform_v2(PreprocessCfg(**plain), is_train=False).transforms
    return transforms.Compose(
        [
            transforms.CenterCrop(list(step.size)) if type(step) is transforms.CenterCrop else step
            for step in steps
            if not isinstance(step, MaybeConvertMode)
        ]
    )


@cache
def tokenizer(source: str):
    """Texts -> tokens (N x L), as the network's text side reads them."""
    return open_clip.get_tokenizer(source)


def file_info(path: Path) -> dict | None:
    """What a file of weights says about itself; None if it was not written by a recipe.

    Raises:
        FileNotFoundError, ValueError: no such file, or not safetensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of weights, found none at {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path.name}: expected safetensors, found: {error}") from error
    return json.loads(metadata[INFO]) if INFO in metadata else None
