"""Files of trained weights: written by a run, loaded as encoders, interpolated.

A file is safetensors. A CLIP's has open_clip's tensors, so that open_clip's ``create_model`` loads it with
``pretrained=path``; a classifier's has ``visual.*`` and ``head.weight``, ``head.bias``. One metadata entry
says in JSON how it was made.
"""

import json
from importlib import metadata
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from featurelens import atomic
from featurelens.encoder import Encoder, wrap
from featurelens.heads import LinearHead
from featurelens.interpolation import interpolate
from featurelens.recipes import networks
from featurelens.recipes.config import Recipe
from featurelens.recipes.data import Classes

PACKAGES = ("torch", "torchvision", "open_clip_torch", "timm", "pillow", "lightning-fabric")


def described(recipe: Recipe, network: nn.Module, classes: Classes, data: dict) -> dict:
    """What the file says about itself: recipe, preprocessing, classes, data counts and versions."""
    return {
        "model": recipe.model,
        "kind": recipe.kind,
        "recipe": recipe.plain(),
        "preprocess": networks.preprocessing(network),
        "classes": classes.names,
        "data": data,
        "versions": {package: metadata.version(package) for package in PACKAGES},
    }


def write(path: Path, tensors: dict[str, torch.Tensor], info: dict) -> None:
    """Write tensors and what they are, whole or not at all; the same input gives the same bytes."""
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    with atomic.replacing(path) as part:
        save_file(plain, part, {networks.INFO: json.dumps(info, sort_keys=True)})


def info(path: Path) -> dict:
    """What a file written by a recipe says about itself.

    Raises:
        FileNotFoundError, ValueError: no such file, or not written by a recipe.
    """
    found = networks.file_info(path)
    if found is None:
        expected = "weights written by a recipe (or timm/MODEL/FILE)"
        raise ValueError(f"{path.name}: expected {expected}, found no description in it")
    return found


def load(path: str | Path) -> Encoder:
    """The trained network as an encoder, with features before (``pre``) and after the projection (``joint``).

    Its head is the trained one, or a CLIP's zero-shot head of the classes it was trained beside. Where the
    trained head reads features of length 1 (a finetuned network), ``joint`` has length 1.

    Raises:
        FileNotFoundError, ValueError: no such file, not written by a recipe, or tensors of another network.
    """
    path = Path(path)
    made = info(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clip = networks.blank(made["model"]).to(device)
    if made["kind"] == "contrastive":
        _fill(clip, path)
        tower = networks.Tower(clip.visual)
        w_CD = networks.zero_shot_head(clip, made["model"], made["classes"])
        head = LinearHead(w_CD.cpu(), None, "joint")
    else:
        sizes = clip.text_projection.shape[1], len(made["classes"])
        tower = networks.Classifier(clip.visual, *sizes, normalised=made["kind"] == "finetuned")
        _fill(tower, path)
        head = LinearHead.of(tower.head, "joint")
    name = f"recipe/{made['recipe']['name']}" + (f"@{made['alpha']:g}" if "alpha" in made else "")
    return wrap(name, tower.to(device), networks.transform(made["preprocess"]), head)


def _fill(network: nn.Module, path: Path) -> None:
    try:
        network.load_state_dict(load_file(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path.name}: expected tensors as its description says, found: {reason}") from error


def write_interpolated(start: Path, end: Path, alphas: list[float], out: Path) -> list[Path]:
    """Write ``(1 - alpha) * start + alpha * end`` for each alpha to ``out/alpha-<alpha>.safetensors``.

    Raises:
        FileNotFoundError, ValueError: files that are not there, or of networks that do not match.
    """
    if not alphas:
        raise ValueError("expected one --alpha or more, found none")
    first, last = info(start), info(end)
    for key in ("model", "kind", "classes", "preprocess"):
        if first[key] != last[key]:
            found = f"{first[key]!r} and {last[key]!r}"
            raise ValueError(f"expected two networks with the same {key}, found {found[:120]}")
    tensors = load_file(start), load_file(end)
    mixed = {alpha: interpolate(*tensors, alpha) for alpha in alphas}
    paths = []
    for alpha, mixture in mixed.items():
        paths.append(out / f"alpha-{alpha:g}.safetensors")
        write(paths[-1], mixture, {**last, "alpha": alpha})
    return paths
