"""The gradient of one step, whatever the number of processes and of passes that share its batch.

Cross-entropy splits into passes by itself. The contrastive loss does not, since every picture is compared
with every caption of the batch: its features are computed first without gradients, then the loss and its
gradient at the features, then pass by pass the gradient of the weights that goes with it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from open_clip import ClipLoss
from torch import nn

from featurelens.recipes.data import Batch


def labels(fabric, model: nn.Module, passes: Sequence[Batch], dropout: Callable[[int], None]) -> torch.Tensor:
    """Add the gradient of the mean cross-entropy; return this process's loss.

    ``dropout`` is called with the number of each pass, to seed what is random in the network.
    """
    total = torch.zeros((), device=fabric.device)
    for j, (x_NCHW, y_N, _) in enumerate(passes):
        dropout(j)
        with fabric.no_backward_sync(model, enabled=j < len(passes) - 1):
            loss = nn.functional.cross_entropy(model(x_NCHW), y_N) / len(passes)
            fabric.backward(loss)
        total += loss.detach()
    return total


def contrastive(
    fabric, model: nn.Module, passes: Sequence[Batch], dropout: Callable[[int], None]
) -> torch.Tensor:
    """Add the gradient of CLIP's loss over the pictures and captions of all processes and passes.

    Returns:
        This process's share of the loss; the mean over processes is the loss of the whole batch.

    Source: Radford et al. (2021), figure 3; computed in two passes as in Gao et al., "Scaling deep
        contrastive learning batch size under memory limited setup" (2021).
    """
    world = {"rank": fabric.global_rank, "world_size": fabric.world_size}
    criterion = ClipLoss(local_loss=True, gather_with_grad=True, **world)
    if len(passes) == 1:
        dropout(0)
        loss = criterion(*model(*passes[0][:2]))
        fabric.backward(loss)
        return loss.detach()
    image_ND, text_ND, scale = _features(model, passes, dropout)
    loss = criterion(image_ND, text_ND, scale)
    loss.backward()
    size = len(image_ND) // len(passes)
    grads = zip(image_ND.grad.split(size), text_ND.grad.split(size), strict=True)
    for j, (part, (image_grad_ND, text_grad_ND)) in enumerate(zip(passes, grads, strict=True)):
        dropout(j)
        last = j == len(passes) - 1
        with fabric.no_backward_sync(model, enabled=not last):
            h_ND, t_ND, s = model(*part[:2])
            # The temperature is one number for all passes: its gradient comes once.
            inner = (h_ND * image_grad_ND).sum() + (t_ND * text_grad_ND).sum() + s * scale.grad * last
            fabric.backward(inner)
    return loss.detach()


@torch.no_grad()
def _features(
    model: nn.Module, passes: Sequence[Batch], dropout: Callable[[int], None]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Features of all passes and the temperature, as leaves that gradients can be taken at."""
    found = []
    with _buffers_kept(model):
        for j, part in enumerate(passes):
            dropout(j)
            found.append(model(*part[:2]))
    image_ND, text_ND = (torch.cat([f[k] for f in found]).requires_grad_() for k in (0, 1))
    return image_ND, text_ND, found[0][2].clone().requires_grad_()


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Undo what a forward pass does to running statistics: the second pass sees the same pictures."""
    before = [buffer.clone() for buffer in model.buffers()]
    yield
    for buffer, old in zip(model.buffers(), before, strict=True):
        buffer.copy_(old)
