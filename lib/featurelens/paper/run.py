"""One run at the paper's scale: what is missing is extracted, group of encoders by group, then measured.

Encoders that fit into memory together share one decoding of the pictures. Where they do not all fit,
pictures are decoded once into the cache and every group reads them from there.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import psutil
import torch

from featurelens import (
    compute,
    conceptsets,
    decoding,
    extract,
    imagesets,
    paths,
    robustness,
    stamps,
    storage,
    testbed,
    zeroshot,
    zoo,
)
from featurelens.concept_labels import ConceptSet
from featurelens.encoder import Encoder, adapted
from featurelens.heads import LinearHead
from featurelens.imagesets import ImageSet
from featurelens.paper import measure
from featurelens.paper.measure import BASE, Judged
from featurelens.paper.names import SETS
from featurelens.store import FeatureStore

BUDGET = 0.4  # share of the memory that is free that encoders may take

Frames = dict[str, pd.DataFrame]


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
    """

    models: tuple[str, ...]
    sets: tuple[str, ...]
    store: FeatureStore
    templates: str = "openai-80"
    concepts: str | None = None
    engine: str = "local"
    precision: str = "float32"


def models() -> list[str]:
    """The zoo's encoders with public weights, all but the miniature's."""
    return [name for name in zoo.names() if not name.startswith("miniature/")]


def execute(run: Run, say: Callable[[str], None]) -> dict[str, Frames]:
    """Extract and measure; return the tables of each model, by its name.

    Raises:
        UnknownNameError, Unreachable, ValueError: a model, image set or concept set that is not there.
    """
    images = {name: imagesets.load(SETS[name]) for name in run.sets}
    concept_set = conceptsets.load(run.concepts) if run.concepts else None
    if concept_set is not None:
        images["concepts"] = concept_set.images
    fits = testbed.fits(published_accuracy())
    found: dict[str, Frames] = {}
    for encoders in groups(run, say):
        _extract(run, images, encoders, alone=len(encoders) == len(run.models), say=say)
        for name, encoder in encoders.items():
            say(f"{name}: tables")
            found[name] = measured(run, encoder, images, concept_set, fits)
    return found


def published_accuracy() -> pd.DataFrame:
    """Accuracies of chapter 1, as stored: the baselines, and what others measured on the same encoders."""
    from featurelens import results

    return results.bare(results.read("01-accuracy", "published"))


def groups(run: Run, say: Callable[[str], None]) -> Iterator[dict[str, Encoder]]:
    """Yield encoders, as many at a time as the memory that is free may hold; one is always loaded.

    Raises:
        ValueError: two models of the same name.
    """
    seen, group, size, budget = set(), {}, 0, BUDGET * _free()
    for name in run.models:
        encoder = _fast(zoo.load(name), run.precision, say)
        if encoder.name in seen:
            raise ValueError(f"expected models of different names, found {encoder.name} twice")
        seen.add(encoder.name)
        group[encoder.name] = encoder
        size += sum(tensor.numel() * tensor.element_size() for tensor in encoder.module.state_dict().values())
        if size > budget:
            yield group
            group, size = {}, 0
    if group:
        yield group


def _fast(encoder: Encoder, precision: str, say: Callable[[str], None]) -> Encoder:
    """The same encoder in its fastest layout, in the precision asked for if that keeps its features."""
    layout = compute.suggested(encoder.module, encoder.device)
    for way in dict.fromkeys((replace(layout, precision=precision), layout)):
        try:
            return encoder if way == compute.PLAIN else adapted(encoder, (), way)
        except FloatingPointError as error:
            say(f"{error}; trying the next")
    return encoder


def _free() -> int:
    """Bytes that are free where encoders go: the GPU's memory, or the machine's."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available


def _extract(
    run: Run, images: Mapping[str, ImageSet], encoders: Mapping[str, Encoder], alone: bool, say: Callable
) -> None:
    """Fill the store with the features of one group of encoders."""
    members, todo = list(encoders.values()), []
    for name, each in images.items():
        work = extract.missing(members, each, run.store)
        if work.todo:
            say(f"{name}: {work.pictures:,} images to decode for {len(members)} encoders")
            todo.append(each if alone or run.engine == "ray" else _held(each, members))
    extract.extract(members, todo, run.store, run.engine)


def _held(images: ImageSet, encoders: Sequence[Encoder]) -> ImageSet:
    """The set with its pictures decoded in the cache, if every encoder tells its resize and crop."""
    geometries = {encoder.preprocess.shared_as: encoder.preprocess for encoder in encoders}
    if any(steps.mean is None for steps in geometries.values()):
        return images
    return decoding.hold(images, geometries, paths.cache() / "pixels")


def head(run: Run, encoder: Encoder) -> LinearHead:
    """The zero-shot head of an encoder with a text tower, or else the one it was trained with.

    Raises:
        ValueError: neither.
    """
    if encoder.text is not None:
        return zeroshot.head(encoder, zeroshot.CLASSES, run.templates, run.store)
    if encoder.head is None:
        raise ValueError(f"{encoder.name}: expected a text tower or a linear head, found neither")
    return encoder.head


def measured(
    run: Run,
    encoder: Encoder,
    images: Mapping[str, ImageSet],
    concept_set: ConceptSet | None,
    fits: Mapping[str, robustness.Fit],
) -> Frames:
    """Tables of one encoder; those made before from the same features, by the same code, are read."""
    at = run.store.path / "tables" / _key(run, encoder, images)
    names = [
        "accuracy",
        "kurtosis",
        "directions",
        "curves",
        "prunable",
        *(["concepts", "best"] if concept_set else []),
    ]
    made = {name: at / f"{name}.parquet" for name in names}
    if not all(path.exists() for path in made.values()):
        for name, frame in _measure(run, encoder, images, concept_set, fits).items():
            storage.publish(made[name], frame.to_parquet(index=False))
    return {name: pd.read_parquet(io.BytesIO(path.read_bytes())) for name, path in made.items()}


def _key(run: Run, encoder: Encoder, images: Mapping[str, ImageSet]) -> str:
    """Name of the folder of an encoder's tables: all that they depend on, their code included."""
    code = stamps.code_hash(["from featurelens.paper import measure"])
    text = encoder.text.identity if encoder.text is not None else {}
    parts = [encoder.identity, text, run.store.precision, run.templates, code]
    parts += [[name, each.identity] for name, each in images.items()]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"{encoder.name.replace('/', '_').replace(':', '_')}-{digest[:12]}"


def _measure(run, encoder, images, concept_set, fits) -> Frames:
    linear = head(run, encoder)
    judged = {
        name: Judged(extract.features(encoder, images[name], run.store, linear.point), SETS[name])
        for name in run.sets
    }
    frames = {"accuracy": measure.accuracy(linear, judged)}
    frames["kurtosis"] = measure.kurtosis(
        {point: extract.features(encoder, images[BASE], run.store, point).h_ND for point in encoder.dims}
    )
    frames["directions"] = measure.directions(linear, judged[BASE].found.h_ND)
    frames["curves"], frames["prunable"] = measure.curves(linear, judged, fits)
    if concept_set is not None:
        found = extract.features(encoder, images["concepts"], run.store, linear.point)
        frames["concepts"], frames["best"] = measure.encoded(linear, found, concept_set)
    return frames
