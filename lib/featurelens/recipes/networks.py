"""The networks that the recipes train: open_clip's CLIPs, and their image towers with a linear head."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import open_clip
import torch
from open_clip.transform import AugmentationCfg, PreprocessCfg, image_transform_v2
from torch import nn
from torchvision import transforms

from featurelens import checks, clips, towers
from featurelens.clips import INFO, file_info, tokenizer
from featurelens.recipes.config import Recipe
from featurelens.towers import Tower

__all__ = ["INFO", "Classifier", "Tower", "file_info", "tokenizer"]


class Classifier(Tower):
    """An image tower and a linear head on its output, as it is or with rows of length 1."""

    def __init__(self, visual: nn.Module, n_features: int, n_classes: int, normalised: bool) -> None:
        super().__init__(visual, normalised)
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Class scores (N x C)."""
        h_ND = self.visual(x_NCHW)
        return self.head(nn.functional.normalize(h_ND) if self.normalised else h_ND)


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
    if start:
        clips.check(model, start)


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
    return clips.started(model, start)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's warning that the weights are random."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def zero_shot_head(clip: nn.Module, model: str, names: Sequence[str]) -> torch.Tensor:
    """Head ``w_CD`` made of the class names in OpenAI's 80 templates; rows of length 1."""
    training = clip.training
    w_CD = towers.head(clip.eval(), tokenizer(model), names, open_clip.OPENAI_IMAGENET_TEMPLATES)
    clip.train(training)
    return w_CD


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
