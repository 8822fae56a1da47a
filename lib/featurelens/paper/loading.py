"""What a run is, and its encoders: as many at a time as fit, in their fastest layout."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psutil
import torch

from featurelens import compute, scales, zoo
from featurelens.encoder import Encoder, adapted
from featurelens.store import FeatureStore

BUDGET = 0.4  # share of the memory that is free that encoders may take


@dataclass(frozen=True)
class Run:
    """What to reproduce, and how.

    Attributes:
        models: names for ``zoo.load``.
        sets: names of ``SETS``; the first is *val*.
        store: where features go.
        templates: prompts of the zero-shot heads, a name of ``zeroshot.TEMPLATES``.
        concepts: name or path for ``conceptsets.load``, or None: no concepts.
        engine: as for ``extract.extract``.
        precision: of the forward passes, as for ``compute.Compute``.
        skip: whether models whose weights cannot be had are left out, or end the run.
    """

    models: tuple[str, ...]
    sets: tuple[str, ...]
    store: FeatureStore
    templates: str = "openai-80"
    concepts: str | None = None
    engine: str = "local"
    precision: str = "float32"
    skip: bool = False


def models() -> list[str]:
    """The zoo's encoders with public weights, all but the miniature's."""
    return [name for name in zoo.names() if not name.startswith("miniature/")]


def groups(run: Run, say: Callable[[str], None]) -> Iterator[tuple[dict[str, Encoder], bool]]:
    """Yield encoders, as many at a time as the memory that is free may hold, and whether these are all.

    Whoever takes a group should empty it before asking for the next, or two are in memory. With Ray the
    memory is this machine's: start the run on one like those that compute.

    Raises:
        ValueError: two models of the same name.
        Unreachable, ModuleNotFoundError: weights that cannot be had, unless the run skips those.
    """
    seen, group, size, budget = set(), {}, 0, BUDGET * _free()
    for name in run.models:
        try:
            encoder = _fast(zoo.load(name), run.precision, say)
        except (scales.Unreachable, ModuleNotFoundError) as error:
            if not run.skip:
                raise
            say(f"{name}: left out, {error}")
            continue
        if encoder.name in seen:
            raise ValueError(f"expected models of different names, found {encoder.name} twice")
        seen.add(encoder.name)
        group[encoder.name] = encoder
        size += _size(encoder)
        del encoder
        if size > budget:
            yield group, len(run.models) == 1
            group, size = {}, 0
    if group:
        yield group, len(seen) == len(group)


def _size(encoder: Encoder) -> int:
    """Bytes of both sides of an encoder."""
    sides = [encoder.module, *([encoder.text.model] if encoder.text is not None else [])]
    return sum(t.numel() * t.element_size() for side in sides for t in side.state_dict().values())


def _fast(encoder: Encoder, precision: str, say: Callable[[str], None]) -> Encoder:
    """The same encoder in its fastest layout, in the precision asked for if that keeps its features."""
    layout = compute.suggested(encoder.module)
    for way in dict.fromkeys((replace(layout, precision=precision), layout)):
        try:
            return encoder if way == compute.PLAIN else adapted(encoder, (), way)
        except FloatingPointError as error:
            say(f"{error}; trying the next")
    return encoder


def _free() -> int:
    """Bytes that are free where encoders go: the machine's memory, or the GPU's if that is less."""
    free = psutil.virtual_memory().available
    return min(free, torch.cuda.mem_get_info()[0]) if torch.cuda.is_available() else free
