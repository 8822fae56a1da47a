"""A timm model with weights of your own: a file as training scripts write it; no object is unpickled."""

from pathlib import Path

import timm
import torch
from timm.models import load_state_dict
from torch import nn

from featurelens import checks, hub


def load(model: str, path: Path) -> nn.Module:
    """Return timm's ``model`` with the weights in the file ``path`` (``.safetensors``, ``.pth``, ``.pt``).

    The file holds tensors by name, as ``model.state_dict()`` gives them, or a training script's checkpoint
    with them; averaged weights (EMA) are preferred to the last ones, as timm does. A prefix before the names
    is taken off. The number of classes is the file's own.

    Raises:
        UnknownNameError: timm has no such model.
        FileNotFoundError: no such file.
        ValueError: the file holds something else, or weights of another network.
    """
    if not timm.is_model(model):
        checks.known("timm model", model, timm.list_models())
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file with weights of {model}, found none")
    described = timm.get_pretrained_cfg(model)
    weights = _named(_read(path), f"{_first(described.first_conv)}.weight")
    head = weights.get(f"{_first(described.classifier)}.weight")
    module = timm.create_model(model, pretrained=False, num_classes=0 if head is None else len(head))
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        own = {name: tensor.shape for name, tensor in module.state_dict().items()}
        fit = sum(own.get(name) == tensor.shape for name, tensor in weights.items())
        raise ValueError(
            f"{path}: expected the {len(own)} tensors of {model}, found {len(weights)}, of which {fit} fit"
        ) from error
    return module


def _read(path: Path) -> dict[str, torch.Tensor]:
    expected = "tensors by name, as model.state_dict() gives them"
    try:
        content = load_state_dict(str(path), weights_only=True)
        weights = content.get("model_state_dict", content)
    except Exception as error:  # the bytes of a file that is no checkpoint lead to any error
        found = f"{type(error).__name__} {hub.line(error)}".strip()
        raise ValueError(f"{path}: expected {expected}, found: {found}") from error
    if not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"{path}: expected {expected}, found {', '.join(map(str, weights))[:80]}")
    return weights


def _named(weights: dict[str, torch.Tensor], first: str) -> dict[str, torch.Tensor]:
    """Weights without the prefix that training frameworks put before names: ``model.conv1.weight``."""
    there = min((name for name in weights if name.endswith(first)), key=len, default=first)
    prefix = there.removesuffix(first)
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def _first(names: str | tuple[str, ...]) -> str:
    """A network with two classifiers, or two first layers, has two names."""
    return names if isinstance(names, str) else names[0]
