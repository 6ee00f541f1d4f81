"""``hpo refine``: what a study's results leave of its space, as a study file."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Storage, storage_url


def refine(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    keep: Annotated[
        float,
        typer.Option(
            min=0.01, max=0.5, metavar="SHARE", help="Keep the ranges of this share, the best trials."
        ),
    ] = 0.25,
    name: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help="The new study's name. [default: STUDY-refined]", show_default=False
        ),
    ] = None,
    storage: Storage = None,
) -> None:
    """Print the space that a study's results leave, as a study file that runs.

    It narrows ranges to where the best trials lie, widens those whose best lie at an end, and leaves out
    choices that did not work; each decision is a comment. Of a study with stages, the last search counts.
    """
    from hpo.cli.views.tables import results
    from hpo.config.study import NAME_PATTERN
    from hpo.config.write import study_text
    from hpo.errors import UserError
    from hpo.stages.advance import refined_study

    if name is not None and not NAME_PATTERN.fullmatch(name):
        raise UserError(f"a study cannot be named {name!r}: use letters, digits, and . _ - after the first")
    with results(storage_url(storage)) as engine:
        spec, comments = refined_study(engine, study, keep)
    spec = spec.model_copy(update={"study": name or f"{study}-refined", "first": ()})
    typer.echo(study_text(spec, comments), nl=False)
