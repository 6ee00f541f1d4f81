"""The end of a run: leaderboard, best configuration, how others failed, next commands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from sqlalchemy import Engine

from hpo.checks.causes import is_blame
from hpo.cli.console import printable
from hpo.cli.views.diagnosis import print_diagnosis
from hpo.cli.views.stages import print_stages
from hpo.cli.views.tables import leaderboard_table
from hpo.cli.views.tradeoffs import print_tradeoffs
from hpo.config.objective import Objective
from hpo.events import RunSummary
from hpo.queries.failures import FrequentFailure, frequent_failure
from hpo.queries.stages import ConfirmationResult, stages_status
from hpo.queries.study import Leader, best_leader, leaderboard, study_goal
from hpo.redact import safe_url
from hpo.reporting import formatting
from hpo.settings import settings
from hpo.storage.studies import find_registered

_LEADERS = 10


def print_ending(
    console: Console, engine: Engine, storage_url: str, summary: RunSummary, command: Sequence[str]
) -> None:
    """Print how the run ended; ``command`` is the user's, which resumes the study.

    Raises ``StorageError`` before anything is printed.
    """
    leaders = leaderboard(engine, summary.study, _LEADERS)
    goal = study_goal(engine, summary.study)
    best, found = best_leader(engine, summary.study), stages_status(engine, summary.study)
    console.print()
    console.print(_headline(summary, next((each.stage for each in found.stages if not each.trials), None)))
    for warning in summary.warnings:
        console.print(Text(printable(f"warning: {warning}"), "yellow"), soft_wrap=True)
    if best:
        console.print()
        console.print(leaderboard_table(leaders, console.width, goal))
        console.print()
        console.print(_best(best, found.winner, summary.study, goal))
    print_tradeoffs(console, engine, summary.study, goal)
    print_stages(console, engine, summary.study)
    print_diagnosis(console, engine, summary.study)
    console.print()
    if summary.stopped:
        _print_commands(console, {f"hpo resume {summary.study}": "lets workers resume the study"})
    elif summary.finished < summary.total:
        _print_again(console, command)
    elif leaders:
        _print_commands(console, _next_commands(engine, summary.study, storage_url))
    failure = None if summary.interrupted or summary.stopped else frequent_failure(engine, summary.study)
    if failure and (failure.state == "failed" or summary.finished == summary.total):
        _print_failure(console, failure, summary.study, storage_url)


def _print_failure(console: Console, failure: FrequentFailure, study: str, storage_url: str) -> None:
    trials = formatting.counted(failure.trials, "trial")
    headline = (
        f"{trials} failed" if failure.state == "failed" else f"no trial is complete: {trials} ended early"
    )
    most = "" if failure.of_verdict == failure.trials else f"most often ({failure.of_verdict}): "
    console.print()
    console.print(
        Text.assemble((headline, "bold red"), printable(f"  {most}{failure.verdict}")), soft_wrap=True
    )
    show = shlex.join(["hpo", "show", study, str(failure.number), *_storage_option(storage_url)])
    what = "its traceback" if failure.state == "failed" else "what ended it"
    console.print(Text.assemble(f"  {printable(show)}", (f"   {what}", "dim")), soft_wrap=True)


def print_ending_without_database(console: Console, summary: RunSummary, command: Sequence[str]) -> None:
    """Print how a run ended that was stopped while the database was unreachable."""
    console.print()
    console.print(_headline(summary, None))
    console.print(
        Text("the database does not answer: `hpo status` will show the trials when it does", "yellow")
    )
    console.print()
    _print_again(console, command)


def _print_again(console: Console, command: Sequence[str]) -> None:
    again = shlex.join(safe_url(argument) for argument in command)
    _print_commands(console, {again: "resumes the study"})


def _headline(summary: RunSummary, ended_at: str | None) -> Text:
    """``ended_at`` is the first stage that the results of earlier stages made unnecessary."""
    trials = formatting.counted(summary.total, "trial")
    if summary.finished == summary.total:
        everything = "its only trial is" if summary.total == 1 else f"all {trials} are"
        outcome = f"ended before stage {ended_at}, after {trials}" if ended_at else f"{everything} done"
        return Text.assemble(
            (printable(summary.study), "bold"), printable(f"  {outcome}"),
            (f"  ({formatting.duration(summary.seconds)})", "dim"),
        )  # fmt: skip
    why = "stopped" if summary.interrupted or summary.stopped else "ended early"
    done = f"{summary.finished} of {formatting.counted(summary.total, 'trial')} of {printable(summary.study)}"
    resume = f"{'is' if summary.total == 1 else 'are'} done; run it again to resume the others"
    return Text.assemble((f"{why}: ", "bold yellow"), f"{done} {resume}")


def _best(leader: Leader, winner: ConfirmationResult | None, study: str, goal: Objective) -> Text:
    """``winner`` is what a confirmation says of it, None without one."""
    reached = goal.text(leader.value)
    if winner is not None:
        runs = formatting.counted(winner.completed or 0, "training")
        reached = f"{goal.text(winner.mean)} (confirmed: mean of {runs}; {reached} in stage {leader.stage})"
    searched = {name: value for name, value in leader.searched.items() if value is not None}
    lines = [Text.assemble(("best", "bold"), printable(f"  trial {leader.number}, {goal.metric} {reached}"))]
    width = max((len(name) for name in searched), default=0)
    lines += [
        Text(printable(f"  {name:{width}}  {formatting.setting(value)}")) for name, value in searched.items()
    ]
    if leader.verdict and is_blame(leader.verdict):
        lines.append(Text(printable(f"  but {leader.verdict}"), "yellow"))
    lines.append(Text(f"  details: hpo show {study} {leader.number}", "dim"))
    return Text("\n").join(lines)


def _next_commands(engine: Engine, study: str, storage_url: str) -> dict[str, str]:
    storage = _storage_option(storage_url)
    found = find_registered(engine, study)
    # Only hyperparameters of image classifiers have columns of their own.
    column = "configuration" if found is not None and found.spec.is_own else "lr"
    sql = f"SELECT number, value, verdict, {column} FROM results WHERE study = '{study}'"
    return {
        shlex.join(["hpo", "dashboard", *storage]): "curves in a browser",
        shlex.join(["hpo", "report", study, *storage]): "everything on one page, to share",
        shlex.join(["hpo", "query", *storage]) + f' "{sql}"': "all trials with SQL",
    }


def _storage_option(storage_url: str) -> list[str]:
    return [] if storage_url == settings().storage else ["--storage", safe_url(storage_url)]


def _print_commands(console: Console, commands: dict[str, str]) -> None:
    console.print(Text("next", "bold"))
    for command, what in commands.items():
        console.print(Text.assemble(f"  {printable(command)}", (f"   {what}", "dim")), soft_wrap=True)
