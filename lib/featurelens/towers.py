"""CLIP-like networks taken apart: the image tower with its two feature points, and the text side.

``pre`` is what the tower's last projection reads, ``joint`` what it writes: the space shared with texts. Both
come from one pass, not normalised.
"""

import copy
import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property

import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn

from featurelens.encoder import digest, versions

PACKAGES = ("torch", "open_clip_torch")


class Tower(nn.Module):
    """An image tower that gives its features before and after the projection.

    ``joint`` has rows of length 1 where ``normalised`` is set: then it is what the network's head reads.
    """

    def __init__(self, visual: nn.Module, normalised: bool = False) -> None:
        """Take open_clip's ViT (CoCa's as well), its ResNet, or its adapter of a timm network.

        Raises:
            TypeError: another kind of tower, of which the points are not known.
        """
        super().__init__()
        self.visual, self.normalised = visual, normalised
        if not isinstance(visual, tuple(_POINTS)):
            expected = ", ".join(kind.__name__ for kind in _POINTS)
            raise TypeError(
                f"expected an image tower of open_clip ({expected}), found {type(visual).__name__}"
            )

    def encode(self, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features (N x D each) at ``pre`` and ``joint``; at ``joint`` alone where nothing is projected."""
        [points_of] = [points for kind, points in _POINTS.items() if isinstance(self.visual, kind)]
        points = points_of(self.visual, x_NCHW)
        if self.normalised:
            points["joint"] = nn.functional.normalize(points["joint"])
        return points


def _vit(visual: VisionTransformer, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
    """The steps of open_clip's own ``forward``; CoCa's attention pooling is one of them."""
    pre_ND, _ = visual._pool(visual.transformer(visual._embeds(x_NCHW)))
    return {"joint": pre_ND} if visual.proj is None else {"pre": pre_ND, "joint": pre_ND @ visual.proj}


def _resnet(visual: ModifiedResNet, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
    """The attention pool by hand: PyTorch's function for it projects in the same step.

    Only the first token, the mean over positions, asks; open_clip lets all ask and drops the other answers.
    """
    for part in (visual.stem, visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x_NCHW = part(x_NCHW)
    pool, t_NLC = visual.attnpool, x_NCHW.flatten(2).transpose(1, 2)
    t_NLC = torch.cat([t_NLC.mean(1, keepdim=True), t_NLC], 1) + pool.positional_embedding.to(t_NLC.dtype)
    projected = pool.q_proj(t_NLC[:, :1]), pool.k_proj(t_NLC), pool.v_proj(t_NLC)
    q, k, v = (t.unflatten(2, (pool.num_heads, -1)).transpose(1, 2) for t in projected)
    pre_ND = nn.functional.scaled_dot_product_attention(q, k, v).flatten(1)
    return {"pre": pre_ND, "joint": pool.c_proj(pre_ND)}


def _timm(visual: TimmModel, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
    """A timm trunk and open_clip's head: a projection, the trunk's own classifier, or none.

    Without a projection, and where the head pools and projects in one layer, there is only ``joint``.
    """
    trunk, head = visual.trunk, visual.head
    if len(head) and "pool" not in dict(head.named_children()):
        pre_ND = trunk(x_NCHW)
        return {"pre": pre_ND, "joint": head(pre_ND)}
    if len(head) or isinstance(trunk.get_classifier(), nn.Identity):
        return {"joint": visual(x_NCHW)}
    h = trunk.forward_features(x_NCHW)
    return {"pre": trunk.forward_head(h, pre_logits=True), "joint": trunk.forward_head(h)}


_POINTS = {VisionTransformer: _vit, ModifiedResNet: _resnet, TimmModel: _timm}


class Text:
    """The text side of a CLIP-like network: it makes heads out of class names."""

    def __init__(self, clip: nn.Module, tokenizer: Callable[[list[str]], torch.Tensor]) -> None:
        """Share the tensors of ``clip``, without its image tower and without CoCa's decoder of captions."""
        self.model, self.tokenizer = copy.copy(clip), tokenizer
        others = {"visual", "text_decoder"}
        self.model._modules = {name: part for name, part in clip._modules.items() if name not in others}
        self.model.eval()

    @cached_property
    def identity(self) -> dict[str, str]:
        """What its heads depend on: weights, architecture, how texts become tokens, versions."""
        tokens = self.tokenizer(["A photo of a naïve 3-toed sloth (animal), 1/2; don't.", "x " * 99])
        return {
            "text weights": digest(self.model),
            "text architecture": hashlib.sha256(str(self.model).encode()).hexdigest(),
            "tokens": hashlib.sha256(str(tokens.tolist()).encode()).hexdigest(),
            "versions": versions(PACKAGES),
        }

    def head(self, names: Sequence[str], templates: Sequence[str]) -> torch.Tensor:
        """Zero-shot head ``w_CD`` on the CPU: rows of length 1, each the mean over its class's prompts.

        Computed on a GPU if there is one.
        """
        before = next(self.model.parameters()).device
        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            return head(self.model.to(device), self.tokenizer, names, templates).cpu()
        finally:
            self.model.to(before)


@torch.no_grad()
def head(clip: nn.Module, tokenizer: Callable, names: Sequence[str], templates: Sequence) -> torch.Tensor:
    """Zero-shot head ``w_CD`` of a network in evaluation mode, on its device."""
    device = next(clip.parameters()).device
    w_DC = open_clip.build_zero_shot_classifier(clip, tokenizer, names, templates, device=device)
    return w_DC.T.contiguous()
