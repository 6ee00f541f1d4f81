"""A study's stages, decisions and confirmation, as `hpo run` and `hpo status` show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from hpo.cli.console import print_title, printable
from hpo.cli.views.tables import table_that_fits
from hpo.config.objective import Objective
from hpo.queries.stages import ConfirmationResult, StageStatus, has_images, stages_status
from hpo.queries.study import study_goal
from hpo.reporting import formatting
from hpo.stages.wording import interval_label


def print_stages(console: Console, engine: Engine, study: str) -> None:
    """Print nothing if the study has no stages and was never evaluated on the test images."""
    found, goal = stages_status(engine, study), study_goal(engine, study)
    if found.stages:
        print_title(console, "stages")
        console.print(_stages_table(found.stages, console.width, goal))
    for stage in dict.fromkeys(each.stage for each in found.decisions):
        print_title(console, f"how {printable(stage)} follows")
        for decision in found.decisions:
            if decision.stage == stage:
                style = "yellow" if decision.action == "end" else ""
                console.print(Text(printable(f"  {decision.message}"), style), soft_wrap=True)
    if any(each.rank for each in found.confirmations):
        print_title(console, "confirmed")
        console.print(_confirmed_table(found.confirmations, console.width, goal))
    for line in formatting.evaluation_lines(found, goal):
        console.print(Text(printable(line), "" if len(found.looks) == 1 else "yellow"), soft_wrap=True)


def as_dict(engine: Engine, study: str) -> dict[str, Any]:
    """Return the same as JSON values."""
    return asdict(stages_status(engine, study))


def _stages_table(stages: Sequence[StageStatus], width: int, goal: Objective) -> Table:
    spent = sum(each.images for each in stages)
    columns = {
        "stage": [Text(printable(each.stage)) for each in stages],
        "trials": [Text(f"{each.done}/{each.trials}") for each in stages],
        "epochs": [Text(_number(each.epochs)) for each in stages],
        "images": [Text(_number(each.train_images)) for each in stages],
        "best": [Text(goal.text(each.best_value)) for each in stages],
        "epochs x images": [Text(f"{each.images:,}") for each in stages],
        "share": [Text(f"{each.images / spent:.0%}" if spent else "–") for each in stages],
    }
    if not has_images(stages):
        for name in ("images", "epochs x images", "share"):
            del columns[name]
    return table_that_fits(columns, width, left=("stage",))


def _confirmed_table(found: Sequence[ConfirmationResult], width: int, goal: Objective) -> Table:
    columns = {
        "rank": [Text(_number(each.rank)) for each in found],
        "trial": [Text(str(each.number)) for each in found],
        "in the search": [Text(goal.text(each.search_value)) for each in found],
        "mean": [Text(goal.text(each.mean), "bold green" if each.rank == 1 else "") for each in found],
        interval_label(): [Text(_interval(each, goal)) for each in found],
        "runs": [Text(f"{each.completed}/{each.runs}") for each in found],
        "ahead of next": [
            Text("–" if each.difference is None else goal.text(each.difference)) for each in found
        ],
        "p": [Text("–" if each.p_value is None else f"{each.p_value:.2g}") for each in found],
    }
    return table_that_fits(columns, width, left=())


def _interval(each: ConfirmationResult, goal: Objective) -> str:
    if each.low is None or each.high is None:
        return "–"
    return f"{goal.text(each.low)} to {goal.text(each.high)}"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
