"""``hpo refine``: print a search space refined by a study's results, as a study file."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Storage, StudyName, storage_url


def refine(
    study: StudyName,
    keep: Annotated[
        float,
        typer.Option(
            min=0.01, max=0.5, metavar="SHARE", help="Share of the trials that count as the best ones."
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
    """Print a search space refined by a study's results.

    The output is a study file. Ranges are narrowed to the best trials, and widened where the best ones are at
    an end; choices that did not work are removed; comments explain each decision. For a study with stages,
    the last search stage is used.
    """
    from hpo.cli.database import results
    from hpo.config.study import NAME_PATTERN
    from hpo.config.write import study_text
    from hpo.errors import UserError
    from hpo.stages.advance import refined_study

    if name is not None and not NAME_PATTERN.fullmatch(name):
        raise UserError(
            f"{name!r} is not a valid study name: use letters and digits, and . _ - after the first character"
        )
    with results(storage_url(storage)) as engine:
        spec, comments = refined_study(engine, study, keep)
    spec = spec.model_copy(update={"study": name or f"{study}-refined", "first": ()})
    typer.echo(study_text(spec, comments), nl=False)
