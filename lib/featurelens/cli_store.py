"""The command ``featurelens store``: what the feature store holds, whether it is sound, and what may go."""

from typing import Annotated

import typer

store = typer.Typer(no_args_is_help=True, help="The features on disk.")

Place = Annotated[str | None, typer.Argument(help="Folder or address of a store; default: the cache's.")]
MIB = 2**20


@store.command("ls")
def list_features(path: Place = None) -> None:
    """The features that are there, one line for each encoder, image set, point and precision."""
    from rich.console import Console
    from rich.table import Table

    from featurelens import housekeeping

    root = _root(path)
    found = housekeeping.parts(root)
    table = Table("encoder", "images", "point", "precision", box=None)
    for column in ("rows", "left out", "MiB"):
        table.add_column(column, justify="right")
    table.add_column("state")
    for stored in found:
        rows, left_out, state = stored.counts()
        names = (stored.identity[name] for name in ("encoder", "images", "point", "precision"))
        table.add_row(*names, f"{rows}", f"{left_out}", f"{stored.bytes / MIB:.1f}", state)
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console.width = 250  # for other programs: one line each
    console.print(table)
    total = sum(stored.bytes for stored in found) / MIB
    typer.echo(
        f"{len(found)} feature matrices, {total:.1f} MiB, and {len(housekeeping.heads(root))} heads at {root}"
    )


@store.command()
def verify(
    path: Place = None,
    encoder: Annotated[str | None, typer.Option(help="Only the features of this encoder.")] = None,
) -> None:
    """Read every file and compare it with its manifest; one line for each bad file, and exit code 1."""
    from featurelens import checks, housekeeping

    root = _root(path)
    found = housekeeping.parts(root)
    if encoder is not None:
        checks.known("encoder in the store", encoder, sorted({s.identity["encoder"] for s in found}))
        found = [stored for stored in found if stored.identity["encoder"] == encoder]
    bad = [line for stored in found for line in stored.problems.values()]
    bad += housekeeping.bad_heads(root) if encoder is None else []
    for line in bad:
        typer.echo(line)
    read = sum(stored.bytes for stored in found) / MIB
    typer.echo(
        f"{len(found)} feature matrices, {read:.1f} MiB: {f'{len(bad)} bad files' if bad else 'sound'}"
    )
    raise typer.Exit(bool(bad))


@store.command()
def gc(
    path: Place = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also features without a manifest.")
    ] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Also what verify calls bad.")] = False,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Also features with newer ones of the same names.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only say what would go.")] = False,
) -> None:
    """What may go: left-overs of killed runs, older than an hour, and what the options add."""
    from featurelens import housekeeping

    root = _root(path)
    going = housekeeping.removable(root, unfinished, damaged, superseded)
    for removal in going:
        typer.echo(f"{removal.why}: {removal.path} ({removal.bytes} bytes)")
    if yes:
        housekeeping.remove(root, going)
    done = "removed" if yes or not going else "would be removed (--yes removes them)"
    typer.echo(f"{len(going)} files, {sum(removal.bytes for removal in going)} bytes {done}")


def _root(path: str | None):
    from featurelens import housekeeping, paths

    return housekeeping.opened(path or paths.cache() / "features")
