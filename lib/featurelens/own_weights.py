"""A timm model with weights of your own: a file as training scripts write it; no object is unpickled."""

from pathlib import Path

import timm
import torch
from timm.models import load_state_dict
from torch import nn

from featurelens import checks, hub


def load(model: str, path: Path) -> nn.Module:
    """Return timm's ``model`` with the weights in the file ``path`` (``.safetensors``, ``.pth``, ``.pt``).

    The file holds tensors by name, or a training script's checkpoint with them; averaged weights (EMA) are
    preferred to the last ones, as timm does. The number of classes is the file's own.

    Raises:
        UnknownNameError: timm has no such model.
        FileNotFoundError: no such file.
        ValueError: the file holds something else, or weights of another network.
    """
    if not timm.is_model(model):
        checks.known("timm model", model, timm.list_models())
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a file with weights of {model}, found none")
    try:
        weights = load_state_dict(str(path), weights_only=True)
    except Exception as error:  # the bytes of a file that is no checkpoint lead to any error
        found = f"{type(error).__name__} {hub.line(error)}".strip()
        raise ValueError(f"{path}: expected tensors by name, found: {found}") from error
    if not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise ValueError(f"{path}: expected tensors by name, found {', '.join(map(str, weights))[:80]}")
    head = weights.get(f"{timm.get_pretrained_cfg(model).classifier}.weight")
    module = timm.create_model(model, pretrained=False, num_classes=0 if head is None else len(head))
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: expected weights of {model}, found: {hub.line(error)}") from error
    return module
