"""How a network is computed: number format, memory layout, compilation. None of it may change what is found.

The plain way (float32, as PyTorch runs it) is the reference. Any other way is tried on a few synthetic
pictures when an encoder is loaded, and refused where its features differ by more than rounding explains.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from featurelens import checks
from featurelens.layers import by_point

Forward = Callable[[torch.Tensor], dict[str, torch.Tensor]]

# Largest relative error of a feature row, and smallest cosine, against the plain way. A format with m bits
# after the point errs by 2^-(m+1) in each number (float32 6e-8, float16 5e-4, bfloat16 4e-3); networks of 50
# to 100 layers multiply that by about ten. A wrong layout or a broken compilation gives errors of order 1.
# Measured in bfloat16: untrained CLIP ResNet-50 0.3 %, untrained ViT-S 1 %; trained EfficientNet-Lite0 14 %,
# which is refused.
TOLERANCES = {"float32": (1e-4, 1 - 1e-6), "float16": (1e-2, 1 - 1e-4), "bfloat16": (8e-2, 1 - 4e-3)}
# PyTorch lets convolutions round to TensorFloat-32 on a GPU (10 bits): the plain way does as well, but sums
# in another order.
TF32 = (5e-3, 1 - 2e-5)


@dataclass(frozen=True)
class Compute:
    """How a network is computed; ``Compute()`` is the plain way.

    Attributes:
        precision: ``float32``, or ``float16`` (GPU only) or ``bfloat16`` by autocast. Features are float32.
        channels_last: memory layout N x H x W x C, faster for convolutional networks.
        compiled: through ``torch.compile``; the first batch takes up to minutes.
    """

    precision: str = "float32"
    channels_last: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        """Refuse a precision that does not exist."""
        checks.known("precision", self.precision, TOLERANCES)

    def __str__(self) -> str:
        """Text for the identity."""
        ways = [name for name in ("channels_last", "compiled") if getattr(self, name)]
        return ", ".join([self.precision, *ways])


PLAIN = Compute()


def suggested(module: nn.Module) -> Compute:
    """The fastest way to compute a network on any device, without lowering its precision.

    ``channels_last`` where a convolution is larger than its stride, so not for a vision transformer, whose
    one convolution cuts patches. Compilation is left to whoever asks for it: on a CPU it does not pay, and
    on a GPU it takes minutes before the first picture.
    """
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    overlapping = any(max(layer.kernel_size) > max(layer.stride) for layer in convolutions)
    return Compute(channels_last=overlapping)


class Tuned:
    """A forward function computed in another way. It can be pickled: what was compiled is compiled anew."""

    def __init__(self, forward: Forward, module: nn.Module, compute: Compute) -> None:
        """Set ``module``, whose forward function this is, to the memory layout asked for."""
        self.forward, self.compute, self._compiled = forward, compute, None
        if compute.channels_last:
            module.to(memory_format=torch.channels_last)

    def __getstate__(self) -> dict:
        """Everything but the compiled function."""
        return {**self.__dict__, "_compiled": None}

    def __call__(self, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features by point, in whatever precision the network returns."""
        forward, lower, n = self.forward, self.compute.precision != "float32", len(x_NCHW)
        if self.compute.compiled and n == 1:  # would be compiled for itself
            x_NCHW = x_NCHW.expand(2, -1, -1, -1).contiguous()
        if self.compute.channels_last:
            x_NCHW = x_NCHW.contiguous(memory_format=torch.channels_last)
        if self.compute.compiled:
            # One compilation for batches of all sizes: the last one of an image set is smaller.
            torch._dynamo.maybe_mark_dynamic(x_NCHW, 0)
            # Networks share their code, and each counts as a recompilation; beyond the limit PyTorch would go
            # on without compiling, and the identity would be wrong.
            torch._dynamo.config.recompile_limit = 1024
            torch._dynamo.config.fail_on_recompile_limit_hit = True
            forward = self._compiled = self._compiled or torch.compile(self.forward)
        dtype = getattr(torch, self.compute.precision)
        with torch.autocast(x_NCHW.device.type, dtype if lower else None, enabled=lower):
            return {point: h_ND[:n] for point, h_ND in by_point(forward(x_NCHW)).items()}


def tuned(name: str, forward: Forward, module: nn.Module, compute: Compute, x_NCHW: torch.Tensor) -> Tuned:
    """Make ``forward`` run as ``compute`` says, if on the pictures ``x_NCHW`` it gives the same features.

    Raises:
        ValueError: float16 on a CPU.
        FloatingPointError: the features differ by more than :data:`TOLERANCES` allow, or are not finite.
    """
    device = x_NCHW.device.type
    if compute.precision == "float16" and device == "cpu":
        raise ValueError(f"{name}: expected bfloat16 or float32 on a CPU, found float16")
    plain = {point: h_ND.double() for point, h_ND in by_point(forward(x_NCHW)).items()}
    fast = Tuned(forward, module, compute)
    error, cosine = TOLERANCES[compute.precision]
    if compute.precision == "float32" and device == "cuda" and torch.backends.cudnn.allow_tf32:
        error, cosine = TF32
    for point, h_ND in fast(x_NCHW).items():
        worst, least = _difference(h_ND.double(), plain[point])
        if not (worst <= error and least >= cosine):  # so that NaN is refused
            module.to(memory_format=torch.contiguous_format)
            raise FloatingPointError(
                f"{name}: expected the features of plain float32 at {point} to {error:.1%} "
                f"(cosine {cosine:.6f}), found {worst:.2%} ({least:.6f}) with {compute}"
            )
    return fast


def _difference(h_ND: torch.Tensor, plain_ND: torch.Tensor) -> tuple[float, float]:
    """Largest relative error and smallest cosine of a row; a row that is zero in both ways agrees."""
    length_N, error_N = plain_ND.norm(dim=1), (h_ND - plain_ND).norm(dim=1)
    differs_N = (length_N != 0) | (error_N != 0)
    cosine_N = nn.functional.cosine_similarity(h_ND, plain_ND).where(differs_N, 1)
    return (error_N / length_N).where(differs_N, 0).max().item(), cosine_N.min().item()
