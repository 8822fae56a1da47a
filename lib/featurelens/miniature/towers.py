"""The miniature's networks: a small ResNet, a small ViT, a small text transformer, and CLIP's pairing.

Widths are those of a toy; the structure is that of the real ones. A tower gives features at two points:
``pre``, the pooled output of the backbone, and ``joint``, after the projection shared with the text.
"""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from featurelens import checks
from featurelens.miniature.captions import CONTEXT, vocabulary

JOINT = 64
BACKBONES = ("resnet", "vit")


class _Block(nn.Module):
    """Basic residual block (He et al., 2016)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        same = stride == 1 and width_in == width
        self.skip = nn.Identity() if same else nn.Conv2d(width_in, width, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(self.skip(x) + inner)


class ResNet(nn.Module):
    """Patch stem, two stages of one residual block, global average pooling; features are non-negative."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 4, 4, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        self.blocks = nn.Sequential(_Block(width, width, 1), _Block(width, 2 * width, 2))
        self.norm, self.width = nn.Identity(), 2 * width

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Pooled features, (N, 2 x width)."""
        return self.norm(self.blocks(self.stem(x_NCHW)).mean((2, 3)))


def _layers(width: int, depth: int) -> nn.Sequential:
    heads = max(1, width // 32)
    make = nn.TransformerEncoderLayer
    return nn.Sequential(
        *(make(width, heads, 4 * width, 0.0, F.gelu, batch_first=True, norm_first=True) for _ in range(depth))
    )


class ViT(nn.Module):
    """Pre-norm vision transformer (Dosovitskiy et al., 2021) with a class token and learned positions.

    Three strided convolutions cut the picture into 4 x 4 tokens, in place of one large patch projection:
    with so little data and training the latter learns slowly (Xiao et al., 2021, arXiv 2106.14881).
    """

    def __init__(self, width: int = 96, depth: int = 3) -> None:
        super().__init__()
        widths = (3, width // 4, width // 2, width)
        convolutions = [
            nn.Sequential(nn.Conv2d(i, o, 3, 2, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in pairwise(widths)
        ]
        self.stem = nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(4), nn.Conv2d(width, width, 1))
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.position = nn.Parameter(0.02 * torch.randn(1, 17, width))
        self.layers, self.norm, self.width = _layers(width, depth), nn.LayerNorm(width), width

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Final state of the class token, (N, width)."""
        patches = self.stem(x_NCHW).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(patches), -1, -1), patches], 1)
        return self.norm(self.layers(tokens + self.position)[:, 0])


class TextTower(nn.Module):
    """A small transformer over words, mean-pooled and projected to the joint space."""

    def __init__(self, width: int = 64, depth: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(len(vocabulary()) + 2, width, padding_idx=0)
        self.position = nn.Parameter(0.02 * torch.randn(1, CONTEXT, width))
        self.layers, self.norm = _layers(width, depth), nn.LayerNorm(width)
        self.project = nn.Linear(width, JOINT, bias=False)

    def forward(self, tokens_NL: torch.Tensor) -> torch.Tensor:
        """Joint-space features of token rows, (N, JOINT), not normalised."""
        tokens_NL = tokens_NL[:, : int((tokens_NL != 0).sum(1).max())]
        x, pad = self.words(tokens_NL) + self.position[:, : tokens_NL.shape[1]], tokens_NL == 0
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=pad)
        kept = (~pad)[..., None].to(x)
        return self.project((self.norm(x) * kept).sum(1) / kept.sum(1))


class Tower(nn.Module):
    """An image encoder with whatever its regime adds: a projection, a text tower, a classifier.

    ``joint`` networks (CLIP, and those finetuned from it) classify L2-normalised joint features, scaled by
    a temperature; the others put a linear layer on ``pre``. The temperature is learned unless
    ``logit_scale`` fixes it; ``final_norm`` says whether ``pre`` passes a layer norm, as it does in a ViT
    and not in a ResNet unless stated.
    """

    def __init__(
        self,
        backbone: str,
        *,
        joint: bool,
        text: bool,
        classes: int = 0,
        width: int | None = None,
        logit_scale: float | None = None,
        final_norm: bool | None = None,
    ) -> None:
        super().__init__()
        make = {"resnet": ResNet, "vit": ViT}[checks.known("backbone", backbone, BACKBONES)]
        self.backbone = make(width) if width else make()
        if final_norm is not None:
            self.backbone.norm = nn.LayerNorm(self.backbone.width) if final_norm else nn.Identity()
        self.project = nn.Linear(self.backbone.width, JOINT, bias=False) if joint else None
        self.text = TextTower() if text else None
        self.classifier = (
            nn.Linear(JOINT if joint else self.backbone.width, classes, bias=not joint) if classes else None
        )
        # CLIP's initial temperature is 0.07 (Radford et al., 2021).
        log_scale = torch.tensor(logit_scale or 1 / 0.07).log()
        self.log_scale = nn.Parameter(log_scale, requires_grad=logit_scale is None) if joint else None

    def encode(self, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features, not normalised, at ``pre`` and, if the network has a projection, at ``joint``."""
        pre = self.backbone(x_NCHW)
        return {"pre": pre} if self.project is None else {"pre": pre, "joint": self.project(pre)}

    def logits(self, h: dict[str, torch.Tensor]) -> torch.Tensor:
        """Class logits of features from :meth:`encode`, for a network with a classifier."""
        if self.project is None:
            return self.classifier(h["pre"])
        return self.log_scale.exp() * self.classifier(F.normalize(h["joint"], dim=1))
