"""Zero-shot heads: classifiers made of class names in sentences, cached in the feature store.

On-disk layout: ``<store>/heads/<encoder>-<id>.safetensors`` with one tensor ``w_CD`` (float32, one row of
length 1 a class). Its one metadata entry, ``featurelens``, is JSON: ``identity`` (the text side's weights,
architecture, tokens and versions; classes and templates) and ``sha256`` of the tensor's bytes. ``<id>`` is
the first 12 digits of the sha256 of the identity's JSON (keys sorted).

Source: Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021,
section 3.1.4. The sentences and the 1,000 names are OpenAI's, as open_clip has them: the accuracies that are
published rest on them. They are not the WordNet names of ``tables/imagenet_classes.csv``, and two of them
name two classes each (*missile*, *sunglasses*).
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save

from featurelens import checks, paths, storage
from featurelens.encoder import Encoder
from featurelens.heads import LinearHead
from featurelens.store import FeatureStore

CLASSES: tuple[str, ...] = tuple(open_clip.IMAGENET_CLASSNAMES)
TEMPLATES: dict[str, tuple[str, ...]] = {
    "openai-80": tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES),
    "simple-7": tuple(template("{}") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES),
    "single": ("a photo of a {}.",),
}
KEY = "featurelens"


def head(
    encoder: Encoder,
    classes: Sequence[str] = CLASSES,
    templates: str = "openai-80",
    store: FeatureStore | None = None,
) -> LinearHead:
    """Zero-shot head of an encoder on its ``joint`` features; read from the store if it is there.

    ``templates`` is a name in :data:`TEMPLATES`; ``store`` defaults to the one in the cache.

    Raises:
        TypeError: the encoder has no text side, or ``classes`` are no sequence of names.
        UnknownNameError: no such templates.
        ValueError: no classes, or a file in the store that was altered.
    """
    if encoder.text is None:
        raise TypeError(f"{encoder.name}: expected an encoder with a text side, found none")
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise TypeError("classes: expected a sequence of names, found something else")
    if not classes:
        raise ValueError("classes: expected names, found none")
    sentences = TEMPLATES[checks.known("templates", templates, TEMPLATES)]
    identity = {
        **encoder.text.identity,
        "classes": json.dumps(list(classes)),
        "templates": json.dumps(sentences),
    }
    path = _path(store or FeatureStore(paths.cache() / "features"), encoder, identity)
    if not path.exists():
        w_CD = encoder.text.head(list(classes), list(sentences)).float().contiguous()
        described = {"identity": identity, "sha256": _sha256(w_CD)}
        storage.publish(path, save({"w_CD": w_CD}, {KEY: json.dumps(described, sort_keys=True)}))
    return LinearHead(_read(path, identity), None, "joint")


def _path(store: FeatureStore, encoder: Encoder, identity: dict[str, str]) -> Path:
    slug = re.sub(r"[^\w.-]+", "_", encoder.name)
    digits = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return store.path / "heads" / f"{slug}-{digits}.safetensors"


def _read(path: Path, identity: dict[str, str]) -> torch.Tensor:
    described = json.loads(storage.metadata(path).get(KEY, "{}"))
    w_CD = storage.tensors(path).get("w_CD")
    if described.get("identity") != identity or w_CD is None or described["sha256"] != _sha256(w_CD):
        raise ValueError(f"{path}: expected the head that was written there, found an altered file")
    return w_CD


def _sha256(w_CD: torch.Tensor) -> str:
    return hashlib.sha256(f"{w_CD.dtype} {tuple(w_CD.shape)}".encode() + w_CD.numpy().tobytes()).hexdigest()
