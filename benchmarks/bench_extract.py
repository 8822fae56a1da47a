"""Features of 2,000 JPEGs by three small encoders, and of pictures that are decoded already.

Bars: 1.8 times the pictures a second of one loop an encoder, of the same with torch's DataLoader, and of
CLIP_benchmark; from decoded pictures 95 % of the bare model's rate, on a CPU and on a GPU.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from PIL import Image, ImageDraw
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks import harness
from featurelens import clips, compute, decoding, imagesets, towers
from featurelens.encoder import Encoder, adapted, wrap
from featurelens.extract import extract
from featurelens.store import FeatureStore

PICTURES, SOME, PX, BATCH, THREADS = 2_000, 320, 224, 64, 2
TURNS, MANY_TURNS = 4, 8
GPU_PICTURES, GPU_BATCH = 16_384, 256  # the library's batch on a GPU, as 64 is on a CPU
EVALUATION = {"size": PX, "mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}


def picture(i: int) -> Image.Image:
    """Draw a picture of the usual size: soft ground, ellipses, noise."""
    random, size = np.random.default_rng(i), ((500, 375) if i % 4 else (375, 500))
    ground = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    ground = ground.resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for x, y, w, h in zip(*random.uniform(0, (*size, 90, 90), (12, 4)).T, strict=True):
        draw.ellipse((x - w, y - h, x + w, y + h), fill=tuple(random.integers(0, 256, 3).tolist()))
    noise = random.normal(0, 14, (*ground.size[::-1], 1))
    return Image.fromarray((np.asarray(ground) + noise).clip(0, 255).astype(np.uint8))


def jpegs(folder: Path, n: int) -> list[Path]:
    """Write n pictures."""
    paths = [folder / f"{i:05d}.jpg" for i in range(n)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda i: picture(i).save(paths[i], quality=90), range(n)))
    return paths


def vit(width: int, layers: int, heads: int, patch: int = 32) -> VisionTransformer:
    """Return an untrained vision transformer of open_clip."""
    torch.manual_seed(0)
    return VisionTransformer(PX, patch, width, layers, heads, 4, output_dim=64).eval()


def resnet(width: int) -> ModifiedResNet:
    """Return an untrained ResNet of open_clip, one block a stage."""
    torch.manual_seed(0)
    return ModifiedResNet((1, 1, 1, 1), 64, 4, PX, width).eval()


def encoder(name: str, visual: nn.Module, way: compute.Compute = compute.PLAIN) -> Encoder:
    """Take a tower as the library takes those of open_clip."""
    steps = clips.evaluation({**EVALUATION, "interpolation": "bicubic", "resize_mode": "shortest"})
    return adapted(wrap(name, towers.Tower(visual), steps), compute=way)


def small() -> list[Encoder]:
    """Return three encoders, so small that decoding counts as it does beside a GPU."""
    return [
        encoder("ViT 64 x 4", vit(64, 4, 2)),
        encoder("ViT 96 x 3", vit(96, 3, 3)),
        encoder("ResNet 8", resnet(8), compute.Compute(channels_last=True)),
    ]


class Pictures(Dataset):
    """What torch's DataLoader reads: tensors and labels."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths, self.transform = paths, open_clip.image_transform(PX, is_train=False)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        """Decode, resize and normalise one."""
        with Image.open(self.paths[i]) as image:
            return self.transform(image), 0


class Rivals:
    """What others do: for each encoder, decode everything and pass it through, batch by batch."""

    def __init__(self, encoders: list[Encoder], paths: list[Path]) -> None:
        self.towers, self.data = [each.module.visual for each in encoders], Pictures(paths)

    @torch.no_grad()
    def loop(self, workers: int) -> list[torch.Tensor]:
        """Without workers, the process that computes decodes as well (as in thingsvision)."""
        loader = partial(DataLoader, self.data, BATCH, num_workers=workers)
        return [torch.cat([tower(x_NCHW) for x_NCHW, _ in loader()]) for tower in self.towers]

    def clip_benchmark(self) -> list[torch.Tensor]:
        """CLIP_benchmark's own loop."""
        from clip_benchmark.metrics.linear_probe import Featurizer, infer

        def one(tower: nn.Module) -> torch.Tensor:
            model = nn.Module()
            model.encode_image = tower
            loader = DataLoader(self.data, BATCH, num_workers=THREADS)
            return infer(Featurizer(model, normalize=False), loader, False, "cpu")[0]

        with contextlib.redirect_stderr(io.StringIO()):  # progress bars
            return [one(tower) for tower in self.towers]


class Ours:
    """Extraction into a new store each time."""

    def __init__(self, folder: Path) -> None:
        self.folders = (folder / str(i) for i in count())

    def __call__(self, encoders: list[Encoder], images: imagesets.ImageSet) -> FeatureStore:
        """Extract, files included."""
        return extract(encoders, images, FeatureStore(next(self.folders)))


def from_jpegs(ours: Ours, paths: list[Path], images: imagesets.ImageSet) -> pd.DataFrame:
    """Time ours and rivals; each turn has pictures of its own, so that turns are short on a busy machine."""
    encoders = small()
    first = taken(images, range(2 * BATCH))
    store, theirs = ours(encoders, first), Rivals(encoders, paths[: len(first)]).loop(THREADS)
    for each, h_ND in zip(encoders, theirs, strict=True):
        np.testing.assert_allclose(store.read(each, first, "joint"), h_ND, rtol=1e-3, atol=1e-4)
    step = len(paths) // TURNS
    turns = [range(i, i + step) for i in range(0, len(paths), step)]

    def each_turn(work: Callable[[range], object]) -> Callable[[], object]:
        rows = iter(turns)
        return lambda: work(next(rows))

    def rivals(rows: range) -> Rivals:
        return Rivals(encoders, paths[rows.start : rows.stop])

    methods = {
        "featurelens": each_turn(lambda rows: ours(encoders, taken(images, rows))),
        "one loop an encoder, as thingsvision": each_turn(lambda rows: rivals(rows).loop(0)),
        "DataLoader, 2 workers": each_turn(lambda rows: rivals(rows).loop(THREADS)),
    }
    if find_spec("clip_benchmark"):  # no dependency of this project
        methods["CLIP_benchmark, 2 workers"] = each_turn(lambda rows: rivals(rows).clip_benchmark())
    size = f"{step} of {len(paths)} JPEGs a turn, 3 encoders"
    return harness.compare("extract", size, methods, turns=TURNS, threads=THREADS, warm=False)


def shares(ours: Ours, images: imagesets.ImageSet) -> pd.DataFrame:
    """Time one, two and three encoders, and what three consist of: each step alone, on both cores."""
    encoders = small()
    steps = encoders[0].preprocess
    some = range(len(images))
    decoded = [images[i] for i in some]
    x_NCHW = torch.stack([steps.pixels(image) for image in decoded])

    def spread(work: Callable[[int], object]) -> None:
        with decoding.threads() as pool:
            list(pool.map(work, some))

    @torch.inference_mode()
    def forward() -> None:
        for part_NCHW in x_NCHW.split(BATCH):
            z_NCHW = steps.normalise(part_NCHW)
            for each in encoders:
                each.encode(z_NCHW)

    methods = {f"featurelens, {n} of 3 encoders": lambda n=n: ours(encoders[:n], images) for n in (3, 2, 1)}
    methods |= {
        "decode alone": lambda: spread(lambda i: images[i]),
        "resize and crop alone": lambda: spread(lambda i: steps.pixels(decoded[i])),
        "normalise and 3 forwards alone": forward,
    }
    size = f"{len(images)} JPEGs"
    return harness.compare("extract, shares", size, methods, turns=MANY_TURNS, threads=THREADS)


def held(ours: Ours, images: imagesets.ImageSet, one: Encoder, folder: Path, on: str) -> pd.DataFrame:
    """Time ours on decoded pictures against the bare model on tensors that are normalised already."""
    steps, device = one.preprocess, one.device
    of = decoding.hold(images, {steps.shared_as: steps}, folder)
    size = GPU_BATCH if device.type == "cuda" else BATCH
    z_NCHW = steps.normalise(torch.from_numpy(of.arrays[steps.shared_as])).to(device)

    @torch.inference_mode()
    def bare() -> torch.Tensor:
        parts = [one.encode(part_NCHW)["pre"] for part_NCHW in z_NCHW.split(size)]
        return torch.cat(parts).cpu()

    np.testing.assert_allclose(ours([one], of).read(one, of), bare(), rtol=1e-3, atol=1e-3)
    methods = {"featurelens": lambda: ours([one], of), "bare model": bare}
    what = f"{len(images)} decoded, {one.name}, batch {size}"
    return harness.compare(f"extract, {on}", what, methods, turns=MANY_TURNS, threads=THREADS)


def on_gpu(ours: Ours, images: imagesets.ImageSet, folder: Path) -> list[pd.DataFrame]:
    """Time a network of ViT-B/32's size in bfloat16 on a GPU: decoded pictures, then JPEGs."""
    big = encoder("ViT-B/32", vit(768, 12, 12).cuda(), compute.Compute("bfloat16"))
    many = taken(images, range(GPU_PICTURES))
    return [
        held(ours, many, big, folder, "GPU"),
        harness.compare(
            "extract, GPU from JPEG",
            f"{len(many)} JPEGs, {os.cpu_count()} cores",
            {"featurelens": lambda: ours([big], many), "decode and resize alone": lambda: decode(many, big)},
            turns=TURNS,
            threads=THREADS,
        ),
    ]


def taken(images: imagesets.ImageSet, rows: range) -> imagesets.ImageSet:
    """Return some of the pictures as a set; rows beyond the last begin again at the first."""
    keys = [f"{i}.jpg" for i in rows]
    identity = {"images": "taken", "count": str(rows), "sha256": images.identity["sha256"]}
    return imagesets.ImageSet("taken", keys, [], None, identity, lambda i: images[rows[i] % len(images)])


def decode(images: imagesets.ImageSet, one: Encoder) -> None:
    """Make the pixels of all pictures, and nothing else."""
    with decoding.threads() as pool:
        steps = {"": one.preprocess}
        for _ in decoding.batches(images, range(len(images)), steps, GPU_BATCH, pool):
            pass


def run() -> pd.DataFrame:
    """Time everything; what needs a GPU only where there is one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        paths, ours = jpegs(folder / "pictures", PICTURES), Ours(folder / "stores")
        images = imagesets.load(folder / "pictures")
        if torch.cuda.is_available():
            frames = on_gpu(ours, images, folder)
        else:
            one = encoder("ViT 128 x 4", vit(128, 4, 4))
            frames = [
                from_jpegs(ours, paths, images),
                shares(ours, taken(images, range(SOME))),
                held(ours, taken(images, range(2 * SOME)), one, folder, "decoded"),
            ]
    return pd.concat(frames)


if __name__ == "__main__":
    harness.publish(run())
