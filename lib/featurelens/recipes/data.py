"""Pictures for training, so that a batch is a function of (seed, epoch, step) and of nothing else.

The order of an epoch and the random crop of a picture are drawn from seeds made of these numbers, not from
the state of a process: any number of workers gives the same batches, and a run that was stopped goes on with
them.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from featurelens import files, heads
from featurelens.recipes import captions

# A picture that does not decode is replaced by the next that does; so many in a row are no accident.
MOST_BAD_IN_A_ROW = 50
ORDER, CROP, DROPOUT, WEIGHTS = range(4)  # what a random number is for: the last part of a seed


class Classes(NamedTuple):
    """Folder names (sorted) and names of the classes."""

    wnids: list[str]
    names: list[str]


@dataclass(frozen=True)
class Pictures:
    """An ImageNet-like folder (``<wnid>/<file>``), with labels and, for some pictures, captions.

    Attributes:
        files: the pictures.
        y_N: class of each picture.
        classes: their names.
        items: the picture of each training item; with captions there may be fewer items than pictures.
        texts: caption of each item, or None.
        facts: numbers of classes, pictures and captions, and hashes.
    """

    files: files.Files
    y_N: list[int]
    classes: Classes
    items: list[int]
    texts: list[str] | None
    facts: dict


class Batch(NamedTuple):
    """Pictures, their target (labels, or tokens of captions), and what did not decode (name, reason)."""

    x_NCHW: torch.Tensor
    target_N: torch.Tensor
    failures: list[tuple[str, str]]


def classes(path: Path | None) -> Classes:
    """The 1,000 classes of ImageNet, or those of a file with lines ``<wnid> <name>``.

    Raises:
        FileNotFoundError, ValueError: no such file, or a line without a name, or a wnid twice.
    """
    if path is None:
        from open_clip import IMAGENET_CLASSNAMES

        return Classes(heads.imagenet("wnid"), list(IMAGENET_CLASSNAMES))
    if not path.is_file():
        raise FileNotFoundError(f"expected a file with lines '<wnid> <name>', found no file {path}")
    rows = sorted(line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line)
    if short := [row for row in rows if len(row) != 2]:
        raise ValueError(f"{path.name}: expected lines '<wnid> <name>', found {' '.join(short[0])!r}")
    wnids = [row[0] for row in rows]
    if len(set(wnids)) < max(len(wnids), 2):
        raise ValueError(f"{path.name}: expected two or more classes, each once, found {len(wnids)} lines")
    return Classes(wnids, [row[1].strip() for row in rows])


def folder(root: Path, known: Classes) -> Pictures:
    """Pictures of the classes under ``root``; folders of other names are left out.

    Raises:
        FileNotFoundError, ValueError: no such folder, or a class without a picture.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"expected a folder of ImageNet's classes, found none at {root}")
    listed = files.listed(root)
    index = {wnid: i for i, wnid in enumerate(known.wnids)}
    keep = [i for i, key in enumerate(listed.keys) if key.count("/") == 1 and key.split("/")[0] in index]
    left_out, listed = len(listed.keys) - len(keep), listed.subset(keep)
    y_N = [index[key.split("/")[0]] for key in listed.keys]
    if lacking := sorted(set(index.values()) - set(y_N)):
        raise ValueError(
            f"{root.name}: expected pictures in a folder for each of {len(index)} classes, found none for "
            f"{len(lacking)}, first {known.wnids[lacking[0]]} ({known.names[lacking[0]]}); "
            "other classes than ImageNet's 1,000 need a file of class names"
        )
    named = hashlib.sha256("\n".join(known.names).encode()).hexdigest()
    facts = {"classes": len(index), "pictures": len(y_N), "left_out": left_out}
    facts |= {"pictures_sha256": listed.sha256(), "names_sha256": named}
    return Pictures(listed, y_N, known, list(range(len(y_N))), None, facts)


def captioned(pictures: Pictures, path: Path, parts: tuple[str, ...]) -> Pictures:
    """The pictures that have a caption, as training items."""
    found = captions.read(path, parts, pictures.files.keys)
    facts = {**pictures.facts, **found.counts, "captions_sha256": found.sha256()}
    return Pictures(pictures.files, pictures.y_N, pictures.classes, found.index, found.texts, facts)


def seed(*parts: int) -> int:
    """One seed for torch made of several numbers, such that other numbers give an unrelated one."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Items(Dataset):
    """Training items by (epoch, item), or with ``epoch`` None as they are, without randomness."""

    def __init__(self, pictures: Pictures, transform: Callable, tokenizer: Callable | None, run_seed: int):
        self.pictures, self.transform, self.tokenizer, self.seed = pictures, transform, tokenizer, run_seed

    def __len__(self) -> int:
        """Number of items."""
        return len(self.pictures.items)

    def __getitem__(self, at: tuple[int | None, int]) -> tuple | str:
        """(picture, target, failures); in an evaluation the first is None where nothing decodes."""
        epoch, item = at
        failures = []
        for step in range(MOST_BAD_IN_A_ROW if epoch is not None else 1):
            j = (item + step) % len(self)
            i = self.pictures.items[j]
            try:
                image = self.pictures.files.picture(i)
            except (files.ImageError, OSError) as error:
                failures.append((self.pictures.files.keys[i], str(error)))
                continue
            with torch.random.fork_rng(devices=[]):
                if epoch is not None:
                    torch.manual_seed(seed(self.seed, CROP, epoch, item))
                x_CHW = self.transform(image)
            return x_CHW, self._target(j), failures
        if epoch is None:
            return None, None, failures
        return f"{failures[0][1]}, and so do not the next {len(failures) - 1} pictures"

    def _target(self, item: int) -> torch.Tensor:
        if self.tokenizer is None:
            return torch.tensor(self.pictures.y_N[self.pictures.items[item]])
        return self.tokenizer([self.pictures.texts[item]])[0]


def collate(samples: list) -> Batch | str:
    """A batch of what decoded; an error travels as text, since a worker would wrap it in a traceback."""
    if wrong := [sample for sample in samples if isinstance(sample, str)]:
        return wrong[0]
    failures = [failure for *_, some in samples for failure in some]
    kept = [sample for sample in samples if sample[0] is not None]
    if not kept:
        return Batch(torch.empty(0), torch.empty(0, dtype=torch.int64), failures)
    return Batch(torch.stack([s[0] for s in kept]), torch.stack([s[1] for s in kept]), failures)


def order(n: int, run_seed: int, epoch: int) -> torch.Tensor:
    """The items of an epoch, in their order."""
    generator = torch.Generator().manual_seed(seed(run_seed, ORDER, epoch))
    return torch.randperm(n, generator=generator)


def batches(items: Items, indices: list[list[tuple]], workers: int) -> Iterator[Batch]:
    """Load the batches listed in ``indices``.

    Raises:
        ValueError: a long row of pictures that do not decode.
    """
    # A generator of its own: the loader would draw from the one that everything else uses.
    own = {"generator": torch.Generator(), "pin_memory": torch.cuda.is_available()}
    for batch in DataLoader(items, batch_sampler=indices, num_workers=workers, collate_fn=collate, **own):
        if isinstance(batch, str):
            raise ValueError(batch)
        yield Batch(*batch)


def training_steps(
    items: Items, epoch: int, first: int, batch: int, passes: int, rank: int, world: int, workers: int
) -> Iterator[list[Batch]]:
    """This process's share of each step of an epoch from step ``first`` on: ``passes`` batches a step.

    All processes together see the pictures of one process in one pass, whatever their number.
    """
    order_N = order(len(items), items.seed, epoch).tolist()
    size, parts = batch // (world * passes), []
    for step in range(first, len(items) // batch):
        start = step * batch + rank * size * passes
        parts += [[(epoch, i) for i in order_N[start + p * size :][:size]] for p in range(passes)]
    loaded = batches(items, parts, workers)
    for _ in range(len(parts) // passes):
        yield [next(loaded) for _ in range(passes)]
