"""What `hpo status` and the end of a run print of a study's second objective and its limit."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from sqlalchemy import Engine

from hpo.cli.console import printable
from hpo.cli.views.tables import front_table
from hpo.config.objective import Objective
from hpo.queries.tradeoffs import study_tradeoffs


def print_tradeoffs(console: Console, engine: Engine, study: str, goal: Objective) -> None:
    """Print how the trials fare with the limit, and the front of trade-offs; nothing without either."""
    found = study_tradeoffs(engine, study)
    if found is None:
        return
    if found.remark:
        console.print()
        style = "yellow" if found.none_within else "dim"
        console.print(Text(printable(found.remark), style), soft_wrap=True)
    if len(found.front) > 1:
        console.print()
        console.print(front_table(found, console.width, goal))
