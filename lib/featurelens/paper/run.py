"""One run at the paper's scale: what is missing is extracted, group of encoders by group, then measured.

Encoders that fit into memory together share one decoding of the pictures. Where they do not all fit,
pictures are decoded once into the cache, and every group reads them from there until the run is over.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd

from featurelens import (
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
)
from featurelens.concept_labels import ConceptSet
from featurelens.encoder import Encoder
from featurelens.heads import LinearHead
from featurelens.imagesets import ImageSet
from featurelens.paper import measure
from featurelens.paper.loading import Run, groups
from featurelens.paper.measure import BASE, Judged
from featurelens.paper.names import SETS
from featurelens.store import slug

PIXELS = "pixels"  # folder in the cache for pictures that are held decoded during a run

Frames = dict[str, pd.DataFrame]


def execute(run: Run, say: Callable[[str], None]) -> Iterator[dict[str, Frames]]:
    """Extract and measure, group of encoders by group; yields the tables of each group, by encoder.

    Image sets are opened first, so that one that is missing is known before any work.

    Raises:
        UnknownNameError, Unreachable, ValueError: a model, image set or concept set that is not there.
    """
    images = {name: imagesets.load(SETS[name]) for name in run.sets}
    for name, each in images.items():
        if len(each) != (expected := imagesets.expected(SETS[name])):
            say(f"{name}: {len(each):,} images, where the published set has {expected:,}")
    concept_set = conceptsets.load(run.concepts) if run.concepts else None
    if concept_set is not None:
        images["concepts"] = concept_set.images
    fits = testbed.fits(published_accuracy())
    for encoders, alone in groups(run, say):
        _extract(run, images, encoders, alone, say)
        found = {}
        for name in list(encoders):
            say(f"{name}: tables")
            found[name] = measured(run, encoders.pop(name), images, concept_set, fits)
        yield found
    shutil.rmtree(paths.cache() / PIXELS, ignore_errors=True)


def published_accuracy() -> pd.DataFrame:
    """Accuracies of chapter 1, as stored: the baselines, and what others measured on the same encoders."""
    from featurelens import results

    return results.bare(results.read("01-accuracy", "published"))


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
    return decoding.hold(images, geometries, paths.cache() / PIXELS)


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
    at = run.store.path / "tables" / _key(run, encoder, images, concept_set)
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


def _key(run: Run, encoder: Encoder, images: Mapping[str, ImageSet], concept_set: ConceptSet | None) -> str:
    """Name of the folder of an encoder's tables: all that they depend on, labels and code included."""
    code = stamps.code_hash(["from featurelens.paper import measure"])
    text = encoder.text.identity if encoder.text is not None else {}
    parts = [encoder.identity, text, run.store.precision, run.templates, code]
    for name, each in images.items():
        parts.append([name, each.identity, None if each.y_N is None else each.y_N.tolist()])
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    if concept_set is not None:
        digest.update(json.dumps([concept_set.names, concept_set.categories]).encode())
        digest.update(concept_set.present_NT.numpy().tobytes())
    return f"{slug(encoder.name)}-{digest.hexdigest()[:12]}"


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
        counts, best = measure.encoded(linear, found, concept_set)
        frames["concepts"], frames["best"] = (
            table.assign(concept_set=concept_set.images.name) for table in (counts, best)
        )
    return frames
