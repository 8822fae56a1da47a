"""An image encoder as the rest of the library sees it: preprocessing, features at named points, identity."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Protocol

import torch
from torch import nn

from featurelens import preprocess
from featurelens.compute import PLAIN, Compute, tuned
from featurelens.heads import LinearHead
from featurelens.layers import Layers, by_point

POINTS = ("pre", "joint")
PACKAGES = ("torch", "torchvision", "timm", "pillow")


class TextSide(Protocol):
    """The text side of a CLIP-like encoder: what its heads depend on, and how they are made (``w_CD``)."""

    identity: dict[str, str]

    def head(self, names: Sequence[str], templates: Sequence[str]) -> torch.Tensor:
        """Zero-shot head of these classes in these templates."""


@dataclass(frozen=True, eq=False)
class Encoder:
    """An image encoder ready for feature extraction.

    Attributes:
        name: its name in the zoo, or the class of your module.
        preprocess: picture -> 3 x H x W float tensor.
        dims: features per point: ``pre`` (before the projection, or penultimate) and, for CLIP-like
            encoders, ``joint`` (after the projection, not normalised); layers that were asked for by name.
        head: the linear head that belongs to the encoder, if it has one, and the point it reads.
        identity: what its features depend on: name, weights, architecture, preprocessing, versions; what a
            module of your own makes of a picture; how it is computed, if not in the plain way. Further
            layers do not change it.
        module: the network, in evaluation mode.
        compute: how it is computed.
        text: the text side of a CLIP-like encoder, for zero-shot heads; None for others.
    """

    name: str
    preprocess: preprocess.Preprocess
    dims: dict[str, int]
    head: LinearHead | None
    identity: dict[str, str]
    module: nn.Module
    forward: Callable[[torch.Tensor], dict[str, torch.Tensor]]
    compute: Compute = PLAIN
    text: TextSide | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.module.parameters(), torch.empty(0)).device

    @torch.no_grad()
    def encode(self, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features (N x D, float32, not normalised) at each point, on the device of ``x_NCHW``.

        Raises:
            TypeError, ValueError: not a float batch of pictures, or the network returned no feature matrix.
        """
        if not isinstance(x_NCHW, torch.Tensor) or x_NCHW.ndim != 4 or not x_NCHW.is_floating_point():
            found = tuple(x_NCHW.shape) if isinstance(x_NCHW, torch.Tensor) else type(x_NCHW).__name__
            raise TypeError(f"{self.name}: expected a float batch (N x 3 x H x W), found {found}")
        h = _points(self, self.forward(x_NCHW.to(self.device)), len(x_NCHW))
        return {point: h_ND.to(x_NCHW.device, torch.float32) for point, h_ND in h.items()}


def wrap(
    name: str,
    module: nn.Module,
    transform: Callable | None = None,
    head: LinearHead | None = None,
    *,
    text: TextSide | None = None,
    packages: Sequence[str] = PACKAGES,
) -> Encoder:
    """Make an encoder of a module: find its forward function, and try it on a picture.

    A timm classifier brings its preprocessing and its head along (no head, if a linear layer on its features
    does not give its scores); any other module is called as it is, or through its method ``encode`` if it has
    one. The versions of ``packages`` are part of the identity.

    Raises:
        TypeError, ValueError: no preprocessing, or the module does not return a feature matrix.
    """
    module.eval()
    if hasattr(module, "forward_head") and hasattr(module, "pretrained_cfg"):
        forward, transform = Penultimate(module), transform or _timm_transform(module)
    else:
        forward = getattr(module, "encode", module)
    if transform is None:
        raise TypeError(f"{name}: expected preprocess= (picture -> tensor) with your own module, found None")
    steps = preprocess.from_transform(transform)
    encoder = Encoder(name, steps, {}, head, {}, module, forward, text=text)
    x_NCHW = steps(preprocess.probe_image())[None]
    points = encoder.encode(x_NCHW)
    encoder.dims.update({point: h_ND.shape[1] for point, h_ND in points.items()})
    encoder.identity.update(_identity(encoder, packages))
    if isinstance(forward, Penultimate) and head is None:
        encoder = replace(encoder, head=forward.head(x_NCHW.to(encoder.device), points["pre"]))
    return encoder


@torch.no_grad()
def adapted(encoder: Encoder, layers: Sequence[str] = (), compute: Compute = PLAIN) -> Encoder:
    """A plain encoder with the outputs of further layers as points, or computed in another way.

    The encoder's module is changed to the memory layout that ``compute`` asks for.

    Raises:
        UnknownNameError: no such layer.
        ValueError: a layer whose output is not one row per image; float16 on a CPU; layers and compilation
            together, since compiled networks have no layers to look into.
        FloatingPointError: ``compute`` changes the features by more than rounding does.
    """
    if layers and compute.compiled:
        raise ValueError(f"{encoder.name}: expected layers= or a compiled network, found both")
    images = preprocess.probe_images()
    x_NCHW = torch.stack([encoder.preprocess(image) for image in images]).to(encoder.device)
    if layers:
        forward = Layers(encoder.name, encoder.forward, encoder.module, layers)
        dims = dict.fromkeys([*encoder.dims, *forward.taken], 0)
        encoder = replace(encoder, forward=forward, dims=dims)
        dims.update({point: h_ND.shape[1] for point, h_ND in encoder.encode(x_NCHW).items()})
    if compute == PLAIN:
        return encoder
    forward = tuned(encoder.name, encoder.forward, encoder.module, compute, x_NCHW)
    identity = {**encoder.identity, "compute": str(compute)}
    return replace(encoder, forward=forward, compute=compute, identity=identity)


class Penultimate:
    """Penultimate features of a timm classifier; a copy of an encoder copies the module in here with it."""

    def __init__(self, module: nn.Module) -> None:
        """Take the whole classifier."""
        self.module = module

    def __call__(self, x_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Features at ``pre``."""
        h = self.module.forward_features(x_NCHW)
        return {"pre": self.module.forward_head(h, pre_logits=True)}

    @torch.no_grad()
    def head(self, x_NCHW: torch.Tensor, h_ND: torch.Tensor) -> LinearHead | None:
        """Its last layer, unless these pictures get other scores: a normalisation, or several heads."""
        head = LinearHead.of(self.module.get_classifier(), "pre")
        return head if head and head.explains(h_ND, self.module(x_NCHW)) else None


def _timm_transform(module: nn.Module) -> Callable:
    from timm.data import create_transform, resolve_model_data_config

    return create_transform(**resolve_model_data_config(module), is_training=False)


def _points(encoder: Encoder, result: object, n: int) -> dict[str, torch.Tensor]:
    """Check what a network returned: one feature matrix, or a dict of them by point."""
    name, points = encoder.name, by_point(result)
    if not points or not set(points) <= {*POINTS, *encoder.dims}:
        raise ValueError(f"{name}: expected features at {' or '.join(POINTS)}, found {sorted(points)}")
    for h_ND in points.values():
        if not isinstance(h_ND, torch.Tensor):
            raise TypeError(f"{name}: expected a feature matrix (N x D), found {type(h_ND).__name__}")
        if h_ND.ndim != 2 or len(h_ND) != n or not h_ND.is_floating_point():
            kind = str(h_ND.dtype).removeprefix("torch.")
            raise ValueError(
                f"{name}: expected a feature matrix ({n} x D, floating), found {tuple(h_ND.shape)} of {kind}"
            )
    return points


def told(encoder: Encoder) -> str:
    """What an encoder makes of the probe picture, in numbers that rounding leaves alone."""
    points = encoder.encode(encoder.preprocess(preprocess.probe_image())[None])
    return ", ".join(
        f"{point} norm {h_ND.norm().item():.4g}, largest at {int(h_ND.argmax())}"
        for point, h_ND in points.items()
    )


def digest(module: nn.Module) -> str:
    """SHA-256 of a network's tensors: their names, dtypes, shapes and bytes."""
    weights = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        weights.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        weights.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return weights.hexdigest()


def versions(packages: Sequence[str]) -> str:
    """Versions without their last part: patches keep features."""
    return ", ".join(f"{name} {'.'.join(metadata.version(name).split('.')[:2])}" for name in packages)


def _identity(encoder: Encoder, packages: Sequence[str]) -> dict[str, str]:
    """All that the features depend on, as text."""
    return {
        "encoder": encoder.name,
        "weights": digest(encoder.module),
        "architecture": hashlib.sha256(str(encoder.module).encode()).hexdigest(),
        "preprocess": str(encoder.preprocess),
        "points": ", ".join(f"{point} {dim}" for point, dim in encoder.dims.items()),
        "versions": versions(packages),
    }
