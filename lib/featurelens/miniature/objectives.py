"""What the networks learn: symmetric InfoNCE on captions, or cross-entropy on labels; and their heads."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from featurelens import heads
from featurelens.heads import LinearHead
from featurelens.miniature import captions
from featurelens.miniature.sets import MiniSet
from featurelens.miniature.towers import ResNet, Tower

# CLIP's cap on the logit scale (Radford et al., 2021).
MAX_LOG_SCALE = torch.tensor(100.0).log().item()
TEMPLATES = ["a photo of a {}", "a picture of a {}", "the {}", "a {}", "a photo showing a {}"]


def contrastive_loss(image_ND: torch.Tensor, text_ND: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE of matching rows (Radford et al., 2021, figure 3)."""
    logits_NN = log_scale.exp() * F.normalize(image_ND, dim=1) @ F.normalize(text_ND, dim=1).T
    target_N = torch.arange(len(logits_NN), device=logits_NN.device)
    return (F.cross_entropy(logits_NN, target_N) + F.cross_entropy(logits_NN.T, target_N)) / 2


def augment(x_NCHW: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror half of the pictures, shift all by up to two pixels (edges repeated)."""
    flip_N = torch.rand(len(x_NCHW), generator=generator) < 0.5
    x_NCHW = torch.where(flip_N[:, None, None, None], x_NCHW.flip(3), x_NCHW)
    padded = F.pad(x_NCHW, (2, 2, 2, 2), mode="replicate")
    dy, dx = (torch.randint(5, (len(x_NCHW), 1), generator=generator) for _ in range(2))
    rows = dy + torch.arange(x_NCHW.shape[2])
    columns = dx + torch.arange(x_NCHW.shape[3])
    image = torch.arange(len(x_NCHW))[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


class Batches:
    """Training batches as a function of the step, so that a resumed run sees what it would have seen."""

    def __init__(self, data: MiniSet, batch: int, seed: int, *, text: bool) -> None:
        # A copy in memory: random rows of a memory-mapped file would wait for the disk.
        self.data = replace(data, x_NHWC=np.array(data.x_NHWC))
        self.batch, self.seed = batch, seed
        self.tokens_NL = captions.tokenize(data.captions()) if text else None
        self.epoch, self.order_N = -1, torch.empty(0)

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented pictures of a step, and their tokens (with text) or labels."""
        epoch, place = divmod(step, len(self.data) // self.batch)
        if epoch != self.epoch:
            shuffle = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
            self.epoch, self.order_N = epoch, torch.randperm(len(self.data), generator=shuffle)
        rows_N = self.order_N[place * self.batch : (place + 1) * self.batch].sort().values
        noise = torch.Generator().manual_seed(self.seed * 100_003 + 50_000_017 + step)
        targets = self.data.y_N if self.tokens_NL is None else self.tokens_NL
        return augment(self.data.pixels(rows_N), noise), targets[rows_N]


def loss(tower: Tower, x_NCHW: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Loss of one batch under the network's own objective."""
    # On a processor bfloat16 doubles the speed of convolutions and slows small matrix products.
    with torch.autocast("cpu", torch.bfloat16, enabled=isinstance(tower.backbone, ResNet)):
        h = tower.encode(x_NCHW)
    h = {point: h_ND.float() for point, h_ND in h.items()}
    if tower.text is None:
        return F.cross_entropy(tower.logits(h), target)
    return contrastive_loss(h["joint"], tower.text(target), tower.log_scale)


@torch.no_grad()
def head(tower: Tower, classes: Sequence[str]) -> LinearHead:
    """The head a network classifies with: its classifier, or the zero-shot head of its own text tower.

    Raises:
        ValueError: an untrained network has neither.
    """
    if tower.text is not None:
        words = [captions.word(name) for name in classes]
        w_CD = heads.zero_shot_head(lambda prompts: tower.text(captions.tokenize(prompts)), words, TEMPLATES)
        return LinearHead(w_CD, None, "joint")
    if tower.classifier is None:
        raise ValueError("an untrained network has no head: expected a classifier or a text tower")
    return LinearHead.of(tower.classifier, "pre" if tower.project is None else "joint")
