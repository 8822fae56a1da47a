"""The networks that the recipes train: open_clip's CLIPs, and their image towers with a linear head."""

import copy
import functools
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.pretrained import get_pretrained_cfg
from open_clip.transform import AugmentationCfg, PreprocessCfg, image_transform_v2
from open_clip.transformer import VisionTransformer
from safetensors import SafetensorError, safe_open
from torch import nn
from torchvision import transforms

from featurelens import checks
from featurelens.recipes.config import Recipe
from featurelens.scales import Unreachable

INFO = "featurelens"  # key of the metadata in a file of weights


class Tower(nn.Module):
    """An image tower that gives its features before and after the projection.

    ``joint`` has rows of length 1 where ``normalised`` is set: then it is what the network's head reads.
    """

    def __init__(self, visual: nn.Module, normalised: bool = False) -> None:
        super().__init__()
        self.visual, self.normalised = visual, normalised

    def encode(self, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features at ``pre`` and ``joint`` (N x D each)."""
        resnet, pre_ND = isinstance(self.visual, ModifiedResNet), _without_projection(self.visual)(x_NCHW)
        joint_ND = self.visual.attnpool.c_proj(pre_ND) if resnet else pre_ND @ self.visual.proj
        return {"pre": pre_ND, "joint": nn.functional.normalize(joint_ND) if self.normalised else joint_ND}


class Classifier(Tower):
    """An image tower and a linear head on its output, as it is or with rows of length 1."""

    def __init__(self, visual: nn.Module, n_features: int, n_classes: int, normalised: bool) -> None:
        super().__init__(visual, normalised)
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Class scores (N x C)."""
        h_ND = self.visual(x_NCHW)
        return self.head(nn.functional.normalize(h_ND) if self.normalised else h_ND)


def _without_projection(visual: nn.Module) -> nn.Module:
    """A view of the tower, with the same tensors, whose last projection does nothing."""
    bare = copy.copy(visual)
    if isinstance(visual, VisionTransformer):
        bare._parameters = {**visual._parameters, "proj": None}
        return bare
    pool = copy.copy(visual.attnpool)
    sizes = pool.c_proj.in_features, pool.c_proj.in_features
    one = nn.utils.skip_init(nn.Linear, *sizes, device=pool.c_proj.weight.device)
    nn.init.eye_(one.weight), nn.init.zeros_(one.bias)
    pool._modules = {**pool._modules, "c_proj": one}
    bare._modules = {**visual._modules, "attnpool": pool}
    return bare


def check(model: str, start: str = "") -> None:
    """Refuse, before anything is built, what could not be trained or not be started from.

    Raises:
        UnknownNameError: open_clip has no such model, or no such weights for it.
        ValueError: not a CLIP with open_clip's own towers, or weights of another network.
    """
    checks.known("open_clip model", model, open_clip.list_models())
    config = open_clip.get_model_config(model)
    vision, text = config["vision_cfg"], config["text_cfg"]
    if "multimodal_cfg" in config or "timm_model_name" in vision or "hf_model_name" in text:
        raise ValueError(
            f"{model}: expected a CLIP with open_clip's own ResNet or ViT, found another in its config"
        )
    if not start:
        return
    if Path(start).is_file():
        described = file_info(Path(start)) if start.endswith(".safetensors") else None
        if described and described["model"] != model:
            raise ValueError(f"{start}: expected weights of {model}, found those of {described['model']}")
        return
    checks.known(f"weights of {model}", start, open_clip.list_pretrained_tags_by_model(model))
    ours, theirs = (bool(c.get("quick_gelu")) for c in (config, get_pretrained_cfg(model, start)))
    if ours != theirs:  # open_clip would only warn, and the features be wrong
        other = f"{model}-quickgelu" if theirs else model.removesuffix("-quickgelu")
        raise ValueError(
            f"{model}: expected {other} for the weights {start!r}, which have the other activation"
        )


def blank(model: str) -> nn.Module:
    """A CLIP with random weights, to be trained or filled.

    Raises:
        UnknownNameError, ValueError: as :func:`check`.
    """
    check(model)
    with _quiet():
        return open_clip.create_model(model)


def started(model: str, start: str) -> nn.Module:
    """A CLIP with the weights of an open_clip tag or of a file; never with random ones.

    Raises:
        UnknownNameError, ValueError: as :func:`check`, or a file with other tensors.
        Unreachable: the weights of the tag cannot be fetched.
    """
    check(model, start)
    try:
        return open_clip.create_model_from_pretrained(model, start, return_transform=False, weights_only=True)
    except (RuntimeError, OSError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        kind = ValueError if Path(start).is_file() else Unreachable
        raise kind(f"{start}: expected weights of {model}, found: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warning that the weights are random."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@functools.cache
def tokenizer(model: str):
    """Texts -> tokens (N x L), as the model's text tower reads them."""
    return open_clip.get_tokenizer(model)


@torch.no_grad()
def zero_shot_head(clip: nn.Module, model: str, names: Sequence[str]) -> torch.Tensor:
    """Head ``w_CD`` made of the class names in OpenAI's 80 templates; rows of length 1."""
    training, device = clip.training, clip.logit_scale.device
    clip.eval()
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES
    w_DC = open_clip.build_zero_shot_classifier(clip, tokenizer(model), names, templates, device=device)
    clip.train(training)
    return w_DC.T.contiguous()


def build(recipe: Recipe, names: Sequence[str], device: torch.device) -> nn.Module:
    """The network before its first step: a CLIP, or a classifier, on ``device``.

    A finetuned one starts from the zero-shot head, multiplied by the temperature, on features of length 1,
    with a bias of zeros.

    Raises:
        UnknownNameError, ValueError, Unreachable: as :func:`blank` and :func:`started`.

    Source: Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), CVPR 2022, section 3.
    """
    clip = (started(recipe.model, recipe.start) if recipe.start else blank(recipe.model)).to(device)
    if recipe.kind == "contrastive":
        return clip
    finetuned = recipe.kind == "finetuned"
    network = Classifier(clip.visual, clip.text_projection.shape[1], len(names), normalised=finetuned)
    if finetuned:
        w_CD = zero_shot_head(clip, recipe.model, names) * clip.logit_scale.detach().exp()
        network.head.weight.data.copy_(w_CD)
        network.head.bias.data.zero_()
    return network.to(device)


def preprocessing(network: nn.Module) -> dict:
    """How pictures are prepared for the network, as plain values (open_clip's ``PreprocessCfg``)."""
    values = asdict(PreprocessCfg(**network.visual.preprocess_cfg))
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def transform(values: dict, recipe: Recipe | None = None):
    """Picture -> tensor (3 x H x W): for evaluation, or for training with the recipe's random crops."""
    prepared = PreprocessCfg(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    if recipe is None:
        return image_transform_v2(prepared, is_train=False)
    steps = image_transform_v2(prepared, is_train=True, aug_cfg=AugmentationCfg(scale=recipe.crop_scale))
    crop, *rest = steps.transforms
    more = [transforms.RandomHorizontalFlip(recipe.flip)] if recipe.flip else []
    if recipe.rand_augment:
        more.append(transforms.RandAugment(2, recipe.rand_augment))
    return transforms.Compose([crop, *more, *rest])


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
