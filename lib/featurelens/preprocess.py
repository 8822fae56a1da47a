"""What happens to a picture before an encoder sees it, in two steps that can be told apart.

*Geometry* (resize, crop) works on the picture and is slow; *normalisation* (to [0, 1], minus mean, over
standard deviation) works on tensors and is cheap. Encoders whose geometry agrees can share the first step.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torchvision import transforms


def to_uint8(image: Image.Image) -> torch.Tensor:
    """Pixels of a picture as a uint8 tensor, 3 x H x W; other modes than RGB are converted."""
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()


# Libraries whose transforms name all their settings, apart from a Lambda.
_TELL = ("torchvision", "timm", "open_clip")


@dataclass(frozen=True)
class Preprocess:
    """Picture -> float tensor (3 x H x W): call it, or take the two steps apart.

    ``geometry`` maps a picture to a picture, except where ``mean`` is None: then the transform could not
    be taken apart and ``geometry`` is the whole of it. ``shared_as`` says which geometries agree.
    """

    geometry: Callable[[Image.Image], Image.Image | torch.Tensor]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    shared_as: str

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Preprocess one picture."""
        return self.normalise(self.pixels(image)[None])[0]

    def __str__(self) -> str:
        """Text for the identity: every step with its numbers, no address of an object."""
        return self.shared_as + ("" if self.mean is None else f" / 255, mean {self.mean}, std {self.std}")

    def expect(self, name: str, mean: Sequence[float], std: Sequence[float]) -> None:
        """Refuse another normalisation than the one a network was trained with.

        Raises:
            ValueError: another mean or standard deviation; a transform that stayed whole is not looked into.
        """
        wanted, found = np.float32([mean, std]), self.mean and np.float32([self.mean, self.std])
        if found is not None and not np.array_equal(wanted, found):
            raise ValueError(
                f"{name}: expected pictures with mean {tuple(mean)} and std {tuple(std)}, as its weights "
                f"were trained, found mean {self.mean} and std {self.std}"
            )

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """First step: the resized and cropped picture, uint8 (or, where opaque, the finished tensor)."""
        image = image if image.mode == "RGB" else image.convert("RGB")
        x = self.geometry(image)
        if self.mean is not None:
            return to_uint8(x)
        if not isinstance(x, torch.Tensor) or x.ndim != 3 or not x.is_floating_point():
            found = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise TypeError(f"preprocess: expected a float tensor (3 x H x W) for one picture, found {found}")
        return x

    def normalise(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """Second step, on a batch of what ``pixels`` returned."""
        if self.mean is None:
            return x_NCHW
        mean, std = (torch.tensor(v, device=x_NCHW.device).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return x_NCHW.float().div_(255).sub_(mean).div_(std)


def from_transform(transform: Callable[[Image.Image], torch.Tensor]) -> Preprocess:
    """Take a torchvision, timm or open_clip evaluation transform apart; any other callable stays whole.

    Raises:
        TypeError: not callable.
    """
    if isinstance(transform, Preprocess):
        return transform
    if not callable(transform):
        raise TypeError(f"preprocess: expected a callable, found {type(transform).__name__}")
    steps = list(getattr(transform, "transforms", []))
    kinds = [type(step) for step in steps[-2:]]
    known = len(kinds) == 2 and issubclass(kinds[0], transforms.ToTensor)
    splits = known and kinds[1] is transforms.Normalize
    if not splits:
        return Preprocess(transform, None, None, _text(transform))
    geometry = transforms.Compose(steps[:-2])
    return Preprocess(geometry, _decimals(steps[-1].mean), _decimals(steps[-1].std), _text(geometry))


def square(size: int) -> Preprocess:
    """Bicubic resize of the short side to ``size``, a centre crop, values in [-1, 1]."""
    resize = transforms.Resize(size, transforms.InterpolationMode.BICUBIC)
    geometry = transforms.Compose([resize, transforms.CenterCrop(size)])
    return Preprocess(geometry, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), _text(geometry))


def probe_image() -> Image.Image:
    """One fixed synthetic picture, 320 x 240: what an encoder is tried on when it is loaded."""
    y, x = np.mgrid[0:240, 0:320]
    return Image.fromarray(np.stack([x % 256, y, (x * y) % 256], -1).astype(np.uint8))


def probe_images() -> list[Image.Image]:
    """Four fixed pictures to compare two ways of computing on: the probe, upside down, dimmed, and blobs."""
    y, x = np.mgrid[0:240, 0:320]
    waves = np.stack([np.sin(x / 23) * np.cos(y / 31), np.sin((x + y) / 47), np.cos(x / 61 - y / 17)], -1)
    first = probe_image()
    return [
        first,
        first.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        first.point(lambda value: value // 4),
        Image.fromarray((127.5 * (1 + waves)).astype(np.uint8)),
    ]


def _decimals(values: Iterable[float]) -> tuple[float, ...]:
    """Numbers as they were given; of a tensor, which timm's transforms hold, the shortest that mean it."""
    if isinstance(values, torch.Tensor):
        return tuple(float(str(value)) for value in values.numpy())
    return tuple(float(value) for value in values)


def _text(transform: Callable) -> str:
    """Stable one-line description; the probe's result joins it where a step's repr may not tell all of it."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(transform).split()))
    steps = getattr(transform, "transforms", [transform])
    tells = (type(step).__module__.partition(".")[0] in _TELL for step in steps)
    if all(tells) and not any(isinstance(step, transforms.Lambda) for step in steps):
        return text
    result = transform(probe_image())
    values = result.numpy() if isinstance(result, torch.Tensor) else np.asarray(result)
    return f"{text} probe {hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]}"
