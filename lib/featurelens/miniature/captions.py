"""Captions of the miniature world, and the vocabulary that turns them into tokens.

A caption fills a template (`captions.csv`) with synonyms (`words.csv`). The object is always named, the
style by half of the templates; every other attribute is left out at random, and always where the style
does not show it: a pencil drawing has no colour to speak of. Like a picture, a caption is a function of
(set, index).
"""

import re
from functools import cache

import pandas as pd
import torch

from featurelens import checks
from featurelens.miniature import draws
from featurelens.miniature.world import Pictures, names, table

CONTEXT = 16  # tokens; longer captions are cut
PAD, UNKNOWN = 0, 1
_MENTION = 0.65  # probability that an attribute is named
# Attribute of a caption -> the column of `styles.csv` that says whether the style shows it.
_SHOWN = {
    "colour": "shows_colour",
    "colour2": "shows_colour",
    "texture": "shows_surface",
    "material": "shows_surface",
    "scene": "shows_scene",
}


@cache
def synonyms() -> dict[tuple[str, str], list[str]]:
    """Words for each (kind, name)."""
    words = table("words")
    return {(k, n): w.split("|") for k, n, w in zip(words.kind, words.name, words.words, strict=True)}


@cache
def _parts() -> dict[str, list[str]]:
    parts: pd.DataFrame = table("parts")
    return {name: sorted(set(group[group.paint == 1].part)) for name, group in parts.groupby("object")}


def _tidy(text: str) -> str:
    """Close the gaps that unnamed attributes leave: commas with nothing between them, a for an."""
    phrases = [" ".join(phrase.split()) for phrase in text.split(",")]
    return re.sub(r"\ba (?=[aeiou])", "an ", " , ".join(phrase for phrase in phrases if phrase))


def _caption(attributes: dict[str, str], mention: dict[str, bool], u: list[float]) -> str:
    template = table("captions").template[int(u[0] * len(table("captions")))]
    parts = _parts()[attributes["object"]]
    words = {"part": parts[int(u[1] * len(parts))]}
    for slot, (kind, name) in enumerate(attributes.items()):
        options = synonyms()["colour" if kind == "colour2" else kind, name]
        words[kind] = options[int(u[2 + slot] * len(options))] if mention[kind] else ""
    return _tidy(template.format(**words))


def captions(pictures: Pictures) -> list[str]:
    """One caption per picture."""
    u_NS = draws.uniform(pictures.seed + 7919, pictures.index, 32).tolist()
    styles, out = table("styles"), []
    kinds = ("object", "colour", "colour2", "texture", "material", "scene", "style")
    columns = {kind: getattr(pictures, kind).tolist() for kind in kinds}
    for row, u in enumerate(u_NS):
        shown = styles.iloc[columns["style"][row]]
        attributes = {k: names("colour" if k == "colour2" else k)[columns[k][row]] for k in kinds}
        mention = {
            k: k in ("object", "style")
            or (u[16 + s] < _MENTION and (k not in _SHOWN or shown[_SHOWN[k]] == 1))
            for s, k in enumerate(kinds)
        }
        out.append(_caption(attributes, mention, u))
    return out


@cache
def vocabulary() -> dict[str, int]:
    """Token of every word that a caption or a prompt can contain; 0 pads, 1 is any other word."""
    texts = [*table("words").words.str.replace("|", " "), *table("captions").template, *table("parts").part]
    words = {word for text in texts for word in text.split() if "{" not in word}
    return {
        word: token for token, word in enumerate(sorted(words | {"an", "the", "this", "drawing"}), start=2)
    }


def tokenize(texts: list[str]) -> torch.Tensor:
    """Tokens of each text, (N, CONTEXT) int64, padded with 0.

    Raises:
        ValueError: a text without a single known word.
    """
    vocab = vocabulary()
    rows = [[vocab.get(word, UNKNOWN) for word in text.lower().split()][:CONTEXT] for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if not any(token > UNKNOWN for token in row):
            hint = ", ".join(list(vocab)[:5])
            raise ValueError(f"no known word in caption {text!r}: the miniature's words are like {hint}")
    return torch.tensor([row + [PAD] * (CONTEXT - len(row)) for row in rows])


def word(name: str) -> str:
    """The word for class ``name`` in the prompts of a zero-shot head: the first of its synonyms.

    Raises:
        UnknownNameError: no such class.
    """
    checks.known("miniature class", name, names("object"))
    return synonyms()["object", name][0]
