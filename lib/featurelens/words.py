"""Words on the directions of real zero-shot heads: which class names lie far out, and what they share.

A zero-shot head has one row a class name, so each of its directions, and each coordinate, orders words.
Three published heads of CLIP ViT-B/32 have rows whose names are known.

ImageNet's rows are the first name of each class in WordNet's list. Neither file says so, but the rows do:
exactly those three pairs are equal that have one such name (*crane*, *maillot* and *cardigan*). LVIS's rows
follow the ids of its categories; whether the underscores in their names were encoded is not recorded.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable

import pandas as pd
import torch

from featurelens import checks, heads, kernels, published, published_features

# What may explain a loading; a table has those that are known of its words.
FACTS = ("letters", "words", "tokens", "captions", "images")
# Rows of ImageNet's animals, and of the dogs among them: the order of its classes follows WordNet.
ANIMALS, DOGS = range(398), range(151, 269)


def _imagenet() -> pd.DataFrame:
    kind = ["dog" if c in DOGS else "other animal" if c in ANIMALS else "no animal" for c in range(1000)]
    return pd.DataFrame({"word": [name.split(",")[0] for name in heads.imagenet("name")], "kind": kind})


def _lvis() -> pd.DataFrame:
    path = published.fetch("detic/lvis-names")
    rows = pd.DataFrame(json.loads(path.read_text(encoding="utf-8"))).sort_values("id", ignore_index=True)
    if list(rows["id"]) != list(range(1, len(rows) + 1)):
        raise ValueError(
            f"{path.name}: expected ids 1..{len(rows)}, found {rows['id'].min()}..{rows['id'].max()}"
        )
    return rows.rename(columns={"name": "word", "image_count": "images"})[["word", "frequency", "images"]]


_NAMED: dict[str, Callable[[], pd.DataFrame]] = {
    "clip-b32/imagenet-photo": _imagenet,
    "clip-b32/imagenet-unknown": _imagenet,
    "clip-b32/lvis": _lvis,
}


def names() -> list[str]:
    """Return the published heads whose rows have known names."""
    return list(_NAMED)


def facts(name: str) -> pd.DataFrame:
    """Return what is known of each word of a head, without looking at the head.

    Returns:
        One row per word, in the order of the head: ``word`` as published; its ``letters``, ``words`` and
        ``tokens`` (of CLIP's tokeniser); ``captions``, in how many of 25,014 captions of COCO it occurs as
        written. ImageNet: ``kind`` (*dog*, *other animal*, *no animal*). LVIS: ``frequency`` (r, c or f:
        rare, common, frequent) and ``images``, in how many training images its objects are.

    Raises:
        UnknownNameError: no head with known names is called so.
        Unreachable: a published file is neither in a mirror nor in the cache, and cannot be fetched.
        ValueError: LVIS's ids have gaps.
    """
    from open_clip.tokenizer import SimpleTokenizer  # slow to import

    table = _NAMED[checks.known("head with known names", name, names())]()
    tokens = SimpleTokenizer()
    return table.assign(
        letters=[sum(letter.isalpha() for letter in word) for word in table["word"]],
        words=[len(re.split("[ _]+", word)) for word in table["word"]],
        tokens=[len(tokens.encode(word)) for word in table["word"]],
        captions=mentions(table["word"], _captions()),
    )


def _captions() -> list[str]:
    path = published.fetch("coco/captions")
    return [row["caption"] for row in json.loads(path.read_text(encoding="utf-8"))["annotations"]]


def mentions(words: Iterable[str], texts: Iterable[str]) -> list[int]:
    """Return in how many texts each word (or sequence of words) occurs.

    Case does not matter, an underscore is a space, and a remark in brackets is no part of a word; a plural
    is another word.
    """
    plain = [_parts(re.sub(r"\(.*?\)", "", word).replace("_", " ")) for word in words]
    lengths, count = {len(name) for name in plain} - {0}, Counter()
    for parts in map(_parts, texts):
        for n in lengths:
            count.update({tuple(parts[i : i + n]) for i in range(len(parts) - n + 1)})
    return [count[tuple(name)] for name in plain]


def _parts(text: str) -> list[str]:
    return re.findall(r"[\w'-]+", text.lower())


def scores(w_CD: torch.Tensor) -> pd.DataFrame:
    """Return where each row of a head, at length 1, lies along some directions and coordinates.

    Along ``v_1``, nearly the mean row of a zero-shot head, that is a row's average cosine with all rows, up
    to a factor: words with a high score are near to all other words.

    Returns:
        One row per class: ``v_1``, ``v_2``, ``v_3`` and the last direction above rounding error, right
        singular vectors of the head with rows of length 1; and each outlier coordinate.

    Raises:
        TypeError, ValueError: as :func:`featurelens.kernels.directions`; a row of zeros.
    """
    w_CD = heads.unit(checks.features(w_CD, "head").double())
    own = kernels.directions(w_CD)
    chosen = sorted({k for k in (1, 2, 3, own.rank) if k <= own.rank})
    along = {f"v_{k}": (w_CD @ own.v_DK[:, k - 1]).numpy() for k in chosen}
    outliers = sorted(kernels.outlier_coordinates(w_CD).tolist())
    return pd.DataFrame(along | {f"coordinate {j}": w_CD[:, j].numpy() for j in outliers})


def loadings(name: str) -> pd.DataFrame:
    """Return :func:`facts` and :func:`scores` of a head's words, scores in standard deviations over words.

    Raises:
        UnknownNameError, Unreachable, ValueError: as :func:`facts`.
    """
    table, raw = facts(name), scores(published_features.load(name))
    return table.join((raw - raw.mean()) / raw.std(ddof=0))


def spread(name: str) -> pd.DataFrame:
    """Return mean and standard deviation of each score of a head, in row lengths: what z-scores hide.

    Raises:
        UnknownNameError, Unreachable: as :func:`featurelens.published_features.load`.
    """
    raw = scores(published_features.load(name))
    return pd.DataFrame(
        {"score": raw.columns, "mean": raw.mean().to_numpy(), "sd": raw.std(ddof=0).to_numpy()}
    )


def extremes(table: pd.DataFrame, score: str, n: int = 8) -> pd.DataFrame:
    """Return the n words at each end of a score, from the highest to the lowest; equal words once.

    Args:
        table: as from :func:`loadings`.
        score: one of its columns.
        n: words an end.

    Returns:
        ``score``, ``end`` (*high*, *low*), ``word``, ``z``.

    Raises:
        UnknownNameError: no such score.
        ValueError: fewer than 2 n different words.
    """
    checks.known("score", score, score_columns(table))
    once = table.drop_duplicates("word").sort_values(score, ascending=False, kind="stable")
    if n < 1 or len(once) < 2 * n:
        raise ValueError(f"expected n from 1 to half of {len(once)} different words, found {n}")
    ends = pd.concat([once.head(n).assign(end="high"), once.tail(n).assign(end="low")], ignore_index=True)
    return ends.assign(score=score, z=ends[score])[["score", "end", "word", "z"]]


def score_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table that are scores, by their names."""
    return [column for column in table if re.fullmatch(r"v_\d+|coordinate \d+", column)]
