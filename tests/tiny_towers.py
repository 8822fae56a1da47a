"""Tiny networks with drawn weights, in folders as the hub has them: the real loaders read them.

``zoo.load(tiny_towers.clip(folder))`` is a CLIP with a text tower,
``zoo.load(tiny_towers.classifier(folder))`` a timm classifier with its head. Pictures are 32 px.
"""

import json
from pathlib import Path

import numpy as np
import open_clip
import timm
import torch
from safetensors.torch import save_file
from torch import nn

PX = 32
MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VIT = {"image_size": PX, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32}
RESNET = {"image_size": PX, "layers": [1, 1, 1, 1], "width": 16, "head_width": 32}
TIMM = {"image_size": PX, "timm_model_name": "test_resnet"}
POOLER = {"attentional_pool": True, "attn_pooler_heads": 4, "attn_pooler_queries": 8, "output_tokens": True}
COCA = {
    "multimodal_cfg": {"context_length": 76, "width": 32, "heads": 2, "layers": 1, "attn_pooler_heads": 2},
    "text_cfg": {**TEXT, "context_length": 76, "embed_cls": True, "output_tokens": True},
    "custom_text": True,
}
MODELS = {
    "vit": {"vision_cfg": VIT},
    "quickgelu": {"vision_cfg": VIT, "quick_gelu": True},
    "resnet": {"vision_cfg": RESNET},
    "coca": {"vision_cfg": {**VIT, **POOLER}, **COCA},
    "timm": {"vision_cfg": {**TIMM, "timm_pool": "avg", "timm_proj": "linear"}},
    "timm-mlp": {"vision_cfg": {**TIMM, "timm_pool": "avg", "timm_proj": "mlp"}},
    "timm-classifier": {"vision_cfg": {**TIMM, "timm_pool": "avg", "timm_proj": ""}},
    "timm-bare": {"vision_cfg": {**TIMM, "timm_pool": "avg", "timm_proj": "none"}},
}


def config(kind: str) -> dict:
    """open_clip's configuration of a tiny CLIP with 32 joint features (``timm-bare`` has the trunk's)."""
    return {"embed_dim": 96 if kind == "timm-bare" else 32, "text_cfg": TEXT, **MODELS[kind]}


def clip(folder: str | Path, kind: str = "vit", seed: int = 0) -> str:
    """Write a tiny CLIP of one of ``MODELS`` to ``folder`` as open_clip has them; return its name."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    described = {"model_cfg": config(kind), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    network = drawn(open_clip.create_model(f"local-dir:{folder}", load_weights=False), seed)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return f"local-dir:{folder}"


def classifier(folder: str | Path, seed: int = 0, classes: int = 1000, model: str = "test_resnet") -> str:
    """Write a tiny timm classifier to ``folder`` as timm has them; return its name."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    size = {"img_size": PX} if "vit" in model else {}
    described = {
        "architecture": model,
        "num_classes": classes,
        "model_args": size,
        "pretrained_cfg": {"input_size": [3, PX, PX], "mean": MEAN, "std": STD, "crop_pct": 0.9},
    }
    (folder / "config.json").write_text(json.dumps(described))
    network = drawn(timm.create_model(model, num_classes=classes, **size), seed)
    save_file(network.state_dict(), folder / "model.safetensors")
    return f"local-dir:{folder}"


def drawn(network: nn.Module, seed: int) -> nn.Module:
    """Fill a network with weights that depend on ``seed`` alone, not on how libraries draw theirs."""
    rng = np.random.default_rng(seed)
    for _, tensor in sorted(network.named_parameters()):
        z = torch.from_numpy(rng.standard_normal(tuple(tensor.shape), dtype=np.float32))
        if tensor.ndim > 1:
            gain = 2 if tensor.ndim == 4 else 1  # half of what a convolution gives is cut off by a ReLU
            tensor.data = z * (gain * len(tensor) / tensor.numel()) ** 0.5
        elif tensor.ndim:  # scales stay around 1, shifts around 0
            tensor.data = tensor.data.mean().round() + 0.1 * z
    return network.eval()
