"""Heads of named classes for a scan: made of text, or rows of the head that an encoder has."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from featurelens import checks, heads
from featurelens.encoder import Encoder
from featurelens.heads import LinearHead


def names(path: str | Path) -> list[str]:
    """Read class names, one a line; blank lines do not count.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no text, no names, or a name twice.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"expected a file of class names, found nothing at {path}")
    try:
        lines = path.read_text("utf-8-sig").splitlines()  # some editors put a mark before the first name
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8, found other bytes") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise ValueError(f"{path}: expected class names, one a line, found none")
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise ValueError(f"{path}: expected each class name once, found {twice[0]!r} again")
    return found


def of_classes(encoder: Encoder, classes: Sequence[str]) -> LinearHead:
    """Return a head of these classes: zero-shot (80 templates), or their rows of the encoder's own head.

    Rows are known by name in ImageNet's 1,000 classes (a WordNet id, or any of a class's names) and in the
    miniature.

    Raises:
        UnknownNameError: a name that the encoder's own head does not have.
        ValueError: a name of several classes, a head whose classes have no names, or no head at all.
    """
    if encoder.text is not None:
        from featurelens import zeroshot

        return zeroshot.head(encoder, classes)
    if encoder.head is None:
        raise ValueError(f"{encoder.name}: expected a text side or a head for class names, found neither")
    rows_of = _rows(encoder)
    rows = []
    for name in classes:
        found = rows_of[checks.known("class", name, rows_of)]
        if len(found) > 1:
            raise ValueError(f"class {name!r}: expected the name of one class, found one of {len(found)}")
        rows += found
    w_CD, b_C, point = encoder.head
    return LinearHead(w_CD[rows], None if b_C is None else b_C[rows], point)


def _rows(encoder: Encoder) -> dict[str, list[int]]:
    """Rows of the encoder's own head by class name."""
    rows_of = defaultdict(list)
    if encoder.name.startswith("miniature/"):
        from featurelens.miniature import world

        rows_of |= {name: [row] for row, name in enumerate(world.names("object"))}
    elif len(encoder.head.w_CD) == len(ids := heads.imagenet("wnid")):
        for row, (wnid, named) in enumerate(zip(ids, heads.imagenet("name"), strict=True)):
            for name in {wnid, named, *named.split(", ")}:
                rows_of[name].append(row)
    else:
        found = f"a head of {len(encoder.head.w_CD)} classes without names"
        expected = "a text side or a head of ImageNet's 1,000 classes for class names"
        raise ValueError(f"{encoder.name}: expected {expected}, found {found}: scan it with its whole head")
    return dict(rows_of)
