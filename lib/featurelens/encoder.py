"""An image encoder as the rest of the library sees it: preprocessing, features at named points, identity."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import torch
from torch import nn

from featurelens import preprocess
from featurelens.heads import LinearHead

POINTS = ("pre", "joint")
PACKAGES = ("torch", "torchvision", "timm", "pillow")


@dataclass(frozen=True, eq=False)
class Encoder:
    """An image encoder ready for feature extraction.

    Attributes:
        name: its name in the zoo, or the class of your module.
        preprocess: picture -> 3 x H x W float tensor.
        dims: features per point: ``pre`` (before the projection, or penultimate) and, for CLIP-like
            encoders, ``joint`` (after the projection, not normalised).
        head: the linear head that belongs to the encoder, if it has one, and the point it reads.
        identity: what its features depend on: name, weights, architecture, preprocessing, versions.
        module: the network, in evaluation mode.
    """

    name: str
    preprocess: preprocess.Preprocess
    dims: dict[str, int]
    head: LinearHead | None
    identity: dict[str, str]
    module: nn.Module
    forward: Callable[[torch.Tensor], dict[str, torch.Tensor]]

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
        h = _points(self.name, self.forward(x_NCHW.to(self.device)), len(x_NCHW))
        return {point: h_ND.to(x_NCHW.device, torch.float32) for point, h_ND in h.items()}


def wrap(
    name: str, module: nn.Module, transform: Callable | None = None, head: LinearHead | None = None
) -> Encoder:
    """Make an encoder of a module: find its forward function, and try it on a picture.

    A timm classifier brings its preprocessing and head along; any other module is called as it is, or
    through its method ``encode`` if it has one.

    Raises:
        TypeError, ValueError: no preprocessing, or the module does not return a feature matrix.
    """
    module.eval()
    if hasattr(module, "forward_head") and hasattr(module, "pretrained_cfg"):
        forward, head = _penultimate(module), LinearHead.of(module.get_classifier(), "pre")
        transform = transform or _timm_transform(module)
    else:
        forward = getattr(module, "encode", module)
    if transform is None:
        raise TypeError(f"{name}: expected preprocess= (picture -> tensor) with your own module, found None")
    steps = preprocess.from_transform(transform)
    encoder = Encoder(name, steps, {}, head, {}, module, forward)
    points = encoder.encode(steps(preprocess.probe_image())[None])
    encoder.dims.update({point: h_ND.shape[1] for point, h_ND in points.items()})
    encoder.identity.update(_identity(encoder))
    return encoder


def _penultimate(module: nn.Module) -> Callable[[torch.Tensor], dict[str, torch.Tensor]]:
    return lambda x_NCHW: {"pre": module.forward_head(module.forward_features(x_NCHW), pre_logits=True)}


def _timm_transform(module: nn.Module) -> Callable:
    from timm.data import create_transform, resolve_model_data_config

    return create_transform(**resolve_model_data_config(module), is_training=False)


def _points(name: str, result: object, n: int) -> dict[str, torch.Tensor]:
    """Check what a network returned: one feature matrix, or a dict of them by point."""
    points = result if isinstance(result, dict) else {"pre": result}
    if not points or not set(points) <= set(POINTS):
        raise ValueError(f"{name}: expected features at {' or '.join(POINTS)}, found {sorted(points)}")
    for h_ND in points.values():
        if not isinstance(h_ND, torch.Tensor):
            raise TypeError(f"{name}: expected a feature matrix (N x D), found {type(h_ND).__name__}")
        if h_ND.ndim != 2 or len(h_ND) != n or not h_ND.is_floating_point():
            raise ValueError(f"{name}: expected a feature matrix ({n} x D), found {tuple(h_ND.shape)}")
    return points


def _identity(encoder: Encoder) -> dict[str, str]:
    """All that the features depend on, as text. Versions without their last part: patches keep features."""
    weights = hashlib.sha256()
    for key, tensor in sorted(encoder.module.state_dict().items()):
        weights.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        weights.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    versions = [f"{package} {'.'.join(metadata.version(package).split('.')[:2])}" for package in PACKAGES]
    return {
        "encoder": encoder.name,
        "weights": weights.hexdigest(),
        "architecture": hashlib.sha256(str(encoder.module).encode()).hexdigest(),
        "preprocess": str(encoder.preprocess),
        "points": ", ".join(f"{point} {dim}" for point, dim in encoder.dims.items()),
        "versions": ", ".join(versions),
    }
