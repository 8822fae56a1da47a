"""The command ``featurelens scan``: outlier features of a model of one's own, before shifted data exist."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from featurelens.heads import LinearHead
    from featurelens.scan_fields import Condition
    from featurelens.scan_report import ScanReport


def scan(
    model: Annotated[
        str,
        typer.Argument(
            help="An encoder with --images: a name in the zoo, timm/MODEL, timm/MODEL/FILE with weights of "
            "your own, a folder as timm or open_clip write it; or features: .npy, .safetensors, .parquet, a "
            "store's folder."
        ),
    ],
    images: Annotated[str | None, typer.Option(help="A folder or tar of images, or an image set.")] = None,
    head: Annotated[
        Path | None, typer.Option(help="A head: a matrix, classes x features, in a file.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="Class names, one a line, to make a head of.")] = None,
    point: Annotated[
        str | None,
        typer.Option(
            help="pre or joint; default: the head's, or joint. Of a file: which matrix; in a table without "
            "lists, how names of columns begin: f takes f0, f1, ..., or all with f where no numbers follow."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the report as JSON (schemas/scan.schema.json).")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit code 1 where this holds, such as 'kurtosis>10'; repeatable."),
    ] = None,
) -> None:
    """Outlier features of an encoder, and where it stands among reference models.

    Exit codes: 0, done; 1, a condition of --fail-if holds; 2, bad input.
    """
    from rich.console import Console

    from featurelens import atomic, scan_fields

    conditions = [scan_fields.condition(text) for text in fail_if or []]
    if head and classes:
        raise ValueError("expected --head or --classes, found both")
    # The file of weights in timm/MODEL/FILE is one that is read as well.
    taken = [Path(str(each)) for each in (model, *model.split("/", 2)[2:], images, head, classes) if each]
    json = json and _place(json, taken)
    html = html and _place(html, [*taken, *([json] if json else [])])
    on_head = [condition for condition in conditions if condition.field in scan_fields.HEAD_FIELDS]
    if images is None:
        if not head:
            _refuse(on_head)
        report = _of_file(model, head, classes, point)
    else:
        report = _of_encoder(model, images, head, classes, point, on_head)
    Console().print(report)
    if json:
        atomic.write_text(json, report.to_json())
    if html:
        atomic.write_text(html, report.to_html())
    held = [condition for condition in conditions if condition.holds(report.values)]
    for condition in held:
        now = scan_fields.shown(report.values[condition.field])
        typer.echo(f"featurelens: {condition} holds: {condition.field} is {now}", err=True)
    raise typer.Exit(bool(held))


def _of_file(path: str, head: Path | None, classes: Path | None, point: str | None) -> "ScanReport":
    from featurelens import scan, scan_features

    there = Path(path).expanduser()
    if not there.exists() and there.suffix.lower() not in scan_features.KINDS:
        raise ValueError(f"{path}: expected --images with a model, or a file of features, found neither")
    if classes:
        raise ValueError("expected --head with a file of features, found --classes: names need a model")
    given = scan_features.load(there, point)
    return scan.features(given.h_ND, _head(head, given.point), name=given.name, point=given.point)


def _of_encoder(
    name: str,
    images: str,
    head: Path | None,
    classes: Path | None,
    point: str | None,
    on_head: list["Condition"],
) -> "ScanReport":
    from featurelens import hub, imagesets, scan, scan_heads, zoo

    there = Path(name).expanduser()
    named = name in zoo.names() or hub.is_model(there)  # a folder may happen to have the name of an encoder
    if not named and (there.is_dir() or (there.is_file() and there.suffix.lower() in (".npy", ".parquet"))):
        found = f"a folder without {' or '.join(hub.CONFIGS)}" if there.is_dir() else "features"
        raise ValueError(f"{name}: expected a model with --images, found {found}")
    names = scan_heads.names(classes) if classes else None
    given, pictures = _head(head, point or ""), imagesets.load(images)
    encoder = zoo.load(name)
    if names:
        given = scan_heads.of_classes(encoder, names)
    if given is None and getattr(encoder.head, "point", None) != scan.chosen(encoder, None, point):
        _refuse(on_head)
    return scan.scan(encoder, pictures, given, point=point)


def _refuse(on_head: list["Condition"]) -> None:
    """Say before anything is computed that there is no head for these conditions."""
    for condition in on_head:
        condition.holds({})


def _head(path: Path | None, point: str) -> "LinearHead | None":
    from featurelens import scan_features

    return scan_features.head(path, point) if path else None


def _place(path: Path, taken: list[Path]) -> Path:
    """Where a report goes, behind links.

    Raises:
        ValueError: nothing can be written there, or it is among the files that are ``taken``.
    """
    given = Path(os.path.expanduser(path))
    place, found = Path(os.path.realpath(given)), ""
    if given.is_dir():
        found = "a folder"
    elif (given.exists() or os.path.lexists(place)) and not given.is_file():
        found = "no regular file"
    elif not place.parent.is_dir() or not os.access(place.parent, os.W_OK):
        found = f"no folder that may be written at {place.parent}"
    elif any(_same(place, Path(os.path.expanduser(other))) for other in taken):
        found = "one that is read, or written, as well"
    if found:
        raise ValueError(f"{path}: expected a file to write to, found {found}")
    return place


def _same(place: Path, other: Path) -> bool:
    if place.exists() and other.exists():
        return place.samefile(other)
    return str(place) == os.path.realpath(other)
