"""The command ``featurelens scan``: outlier features of a model of one's own, before shifted data exist."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from featurelens.heads import LinearHead
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
        str | None, typer.Option(help="pre or joint; default: the head's, or joint. Of a file: which matrix.")
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
    for path in (json, html):
        _writable(path)
    if images is None:
        report = _of_file(model, head, classes, point)
    else:
        report = _of_encoder(model, images, head, classes, point)
    if json:
        atomic.write_text(json.expanduser(), report.to_json())
    if html:
        atomic.write_text(html.expanduser(), report.to_html())
    held = [condition for condition in conditions if condition.holds(report.values)]
    Console().print(report)
    for condition in held:
        now = scan_fields.shown(report.values[condition.field])
        typer.echo(f"featurelens: {condition} holds: {condition.field} is {now}", err=True)
    raise typer.Exit(bool(held))


def _of_file(path: str, head: Path | None, classes: Path | None, point: str | None) -> "ScanReport":
    from featurelens import scan, scan_features

    there = Path(path).expanduser()
    if not there.exists() and there.suffix not in scan_features.KINDS:
        raise ValueError(f"{path}: expected --images with a model, or a file of features, found neither")
    if classes:
        raise ValueError("expected --head with a file of features, found --classes: names need a model")
    given = scan_features.load(there, point)
    return scan.features(given.h_ND, _head(head, given.point), name=given.name, point=given.point)


def _of_encoder(
    name: str, images: str, head: Path | None, classes: Path | None, point: str | None
) -> "ScanReport":
    from featurelens import hub, imagesets, scan, scan_heads, zoo

    there = Path(name).expanduser()
    named = name in zoo.names() or hub.is_model(there)  # a folder may happen to have the name of an encoder
    if not named and (there.is_dir() or (there.is_file() and there.suffix in (".npy", ".parquet"))):
        found = f"a folder without {' or '.join(hub.CONFIGS)}" if there.is_dir() else "features"
        raise ValueError(f"{name}: expected a model with --images, found {found}")
    names = scan_heads.names(classes) if classes else None
    given, pictures = _head(head, point or ""), imagesets.load(images)
    encoder = zoo.load(name)
    if names:
        given = scan_heads.of_classes(encoder, names)
    return scan.scan(encoder, pictures, given, point=point)


def _head(path: Path | None, point: str) -> "LinearHead | None":
    from featurelens import scan_features

    return scan_features.head(path, point) if path else None


def _writable(path: Path | None) -> None:
    """Refuse a place that nothing can be written to, before anything is computed."""
    if path is None:
        return
    folder = path.expanduser().absolute().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        what = "a folder" if path.is_dir() else f"no folder that may be written at {folder}"
        raise ValueError(f"{path}: expected a file to write to, found {what}")
