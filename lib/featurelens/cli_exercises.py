"""Commands for the classroom: ``featurelens check`` and ``featurelens book edition``."""

from typing import Annotated

import typer


def check(
    chapter: Annotated[str, typer.Argument(help="A chapter, such as 02-outlier-features.")],
    exercise: Annotated[str, typer.Argument(help="Label of an exercise, such as ex-sparsity.")],
    answer: Annotated[str, typer.Argument(help="Your number; a fraction also as 25 %.")],
) -> None:
    """Whether the answer to a numeric exercise is right; a hint and exit code 1 if it is not."""
    from featurelens import grading

    asked = grading.question(chapter, exercise)
    verdict = grading.grade(asked, grading.number(answer, asked.unit))
    said = "right." if verdict.right else f"wrong. {verdict.hint}"
    typer.echo(f"{said} (Asked: {asked.text} Unit: {asked.unit}.)")
    raise typer.Exit(not verdict.right)


def edition(name: Annotated[str, typer.Argument(help="student or instructor.")]) -> None:
    """Write the sources of an edition to ``_build/``; make student and make instructor build it."""
    from featurelens import editions

    typer.echo(editions.write(name).relative_to(editions.build().parent))
