"""ImageNet-Captions: the texts that came with 463,622 ImageNet pictures, joined to a folder of the pictures.

The file ``imagenet_captions.json`` (Fang et al., ICML 2022) is a list of records with ``filename``, ``wnid``,
``title``, ``description`` and ``tags``; it holds no pictures.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Captions:
    """Captions that found their picture, and what became of the other records.

    Attributes:
        index: for each caption, the number of its picture in the list it was joined to.
        texts: the captions.
        counts: ``records`` of the file = ``captions`` + ``empty`` (no text) + ``malformed`` (a field that is
            missing or of another type) + ``without_picture``.
    """

    index: list[int]
    texts: list[str]
    counts: dict[str, int]

    def sha256(self) -> str:
        """Hash of the texts and the pictures they belong to."""
        rows = json.dumps([self.index, self.texts])
        return hashlib.sha256(rows.encode()).hexdigest()


def read(path: Path, parts: Sequence[str], keys: Sequence[str]) -> Captions:
    """Captions of the pictures ``keys`` (``<wnid>/<filename>``), each the ``parts`` of its record joined.

    Raises:
        FileNotFoundError: no file there.
        ValueError: not a JSON list, or no caption is left.
    """
    number = {key: i for i, key in enumerate(keys)}
    index, texts, counts = [], [], Counter(records=0, captions=0, empty=0, malformed=0, without_picture=0)
    for record in _records(path):
        counts["records"] += 1
        caption = _caption(record, parts)
        if caption is None:
            counts["malformed"] += 1
        elif not caption:
            counts["empty"] += 1
        elif (i := number.get(f"{record['wnid']}/{record['filename']}")) is None:
            counts["without_picture"] += 1
        else:
            counts["captions"] += 1
            index.append(i)
            texts.append(caption)
    if not texts:
        found = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in counts.items() if what != "captions")
        raise ValueError(f"{path.name}: expected captions of the {len(keys)} pictures, found {found}")
    return Captions(index, texts, dict(counts))


def _records(path: Path) -> list:
    if not path.is_file():
        raise FileNotFoundError(f"expected ImageNet-Captions as a JSON file, found no file {path}")
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of the decoding or of the JSON
        raise ValueError(f"{path.name}: expected JSON in UTF-8, found: {error}") from error
    if not isinstance(records, list):
        raise ValueError(f"{path.name}: expected a list of records, found {type(records).__name__}")
    return records


def _caption(record: object, parts: Sequence[str]) -> str | None:
    """The caption, white space made single; None for a malformed record."""
    if not isinstance(record, dict) or not all(isinstance(record.get(k), str) for k in ("wnid", "filename")):
        return None
    words = []
    for part in parts:
        value = record.get(part)
        if part == "tags":
            if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
                return None
            words += value
        elif not isinstance(value, str):
            return None
        else:
            words.append(value)
    return " ".join(" ".join(words).split())
