"""``hpo logs``: how a trial went, in the order of time."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url


def logs(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The trial's number, from 0.", min=0)],
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Print how a trial went: attempts, epochs, findings, what its workers printed, verdict and traceback."""
    from rich.text import Text

    from hpo.cli.console import printable, stdout
    from hpo.cli.views.lines import to_json
    from hpo.cli.views.tables import SEVERITY_STYLES, results
    from hpo.queries.trial import trial_log

    with results(storage_url(storage)) as engine:
        entries = trial_log(engine, study, number)
    if as_json:
        typer.echo(to_json([asdict(each) for each in entries]))
        return
    console = stdout()
    for each in entries:
        at = f"{each.time:%Y-%m-%d %H:%M:%S}" if each.time else " " * 19
        first, *rest = each.text.splitlines() or [""]
        said = "printed: " if each.kind == "printed" else f"{each.severity} " if each.severity else ""
        by = f"  ({each.worker})" if each.kind in ("begun", "ended") else ""
        style = SEVERITY_STYLES.get(each.severity, "")
        line = Text.assemble((at, "dim"), "  ", (printable(said + first), style), (printable(by), "dim"))
        console.print(line, soft_wrap=True)
        for more in rest:
            console.print(Text(f"{'':21}{printable(more)}"), soft_wrap=True)
