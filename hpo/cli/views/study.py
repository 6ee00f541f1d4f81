"""The pages of ``hpo status``: all studies in a table, or one with its workers, leaderboard and problems."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from hpo.cli.console import printable, stdout
from hpo.cli.database import hint_of_lost_log
from hpo.cli.views import diagnosis, stages
from hpo.cli.views.live import STATE_STYLES
from hpo.cli.views.tables import leaderboard_table, table_that_fits
from hpo.cli.views.tradeoffs import print_tradeoffs
from hpo.queries.study import StudySummary, leaderboard, study_status
from hpo.queries.tradeoffs import study_tradeoffs
from hpo.queries.workers import Interrupted, Work, WorkerStatus
from hpo.reporting import formatting
from hpo.storage.optuna.foreign import OptunaStudy, list_optuna_studies

_STATES = ("running", "complete", "pruned", "failed", "waiting")
_OUR_STATES = ("running", "paused", "complete", "pruned", "failed", "waiting")


def print_studies(summaries: Sequence[StudySummary], url: str) -> None:
    """Print all studies, one a line, and below them the studies that hpo did not create."""
    console = stdout()
    theirs = _theirs(summaries, url)
    if summaries:
        console.print(_studies_table(summaries, console.width))
    elif not theirs:
        hint = hint_of_lost_log(url)
        console.print(f"no studies yet: `hpo run quickstart` starts one{hint}", soft_wrap=True)
    if theirs:
        if summaries:
            console.print()
        console.print(Text("created with Optuna, not with hpo: the view params has their trials", "dim"))
        console.print(_optuna_table(theirs, console.width))


def print_study(engine: Engine, name: str) -> None:
    """Print one study: counts, workers, leaderboard, stages and diagnosis."""
    console = stdout()
    found = study_status(engine, name)
    console.print(_studies_table([found.summary], console.width))
    if found.summary.stopped_at:
        console.print()
        since = f"stopped since {found.summary.stopped_at:%Y-%m-%d %H:%M} (UTC)"
        console.print(Text(f"{since}: `hpo resume {printable(name)}` resumes it", "yellow"))
    _print_work(console, found.work)
    leaders = leaderboard(engine, name)
    if leaders:
        console.print()
        console.print(leaderboard_table(leaders, console.width, found.summary.goal))
    print_tradeoffs(console, engine, name, found.summary.goal)
    stages.print_stages(console, engine, name)
    diagnosis.print_diagnosis(console, engine, name)


def _print_work(console: Console, work: Work) -> None:
    if work.workers:
        console.print()
        console.print(_workers_table(work.workers, console.width))
    if work.interrupted:
        console.print()
        console.print(_interrupted_table(work.interrupted, console.width))
    if set(work.attempts) & {"lost", "hung", "released"}:
        console.print()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in work.attempts.items())
        console.print(Text(f"attempts  {counts}", "dim"))


def studies_as_dicts(summaries: Sequence[StudySummary], url: str) -> list[dict[str, Any]]:
    """Return all studies for JSON; ``made_by`` distinguishes those of hpo from those of Optuna alone."""
    ours = [{"made_by": "hpo", **_as_dict(summary)} for summary in summaries]
    return [*ours, *({"made_by": "optuna", **asdict(study)} for study in _theirs(summaries, url))]


def study_as_dict(engine: Engine, name: str) -> dict[str, Any]:
    """Return one study for JSON."""
    found, tradeoffs = study_status(engine, name), study_tradeoffs(engine, name)
    return {
        **_as_dict(found.summary),
        "best_number": found.best_number,
        **asdict(found.work),
        "leaderboard": [asdict(leader) for leader in leaderboard(engine, name)],
        **stages.as_dict(engine, name),
        "tradeoffs": None if tradeoffs is None else asdict(tradeoffs),
        **diagnosis.as_dict(engine, name),
    }


def _theirs(summaries: Sequence[StudySummary], url: str) -> list[OptunaStudy]:
    return list_optuna_studies(url, ours={summary.name for summary in summaries})


def _as_dict(summary: StudySummary) -> dict[str, Any]:
    return {**asdict(summary), "done": summary.done, "trials": summary.trials}


def _studies_table(summaries: Sequence[StudySummary], width: int) -> Table:
    states = [state for state in _OUR_STATES if state != "paused" or any(each.paused for each in summaries)]
    columns = {
        "study": [Text(printable(each.name), "bold") for each in summaries],
        "done": [Text(f"{each.done}/{each.trials}") for each in summaries],
        "best": [Text(each.best_text) for each in summaries],
        **{state: [_state_count(each, state) for each in summaries] for state in states},
        "data": [Text(printable(each.dataset or "–")) for each in summaries],
        "started (UTC)": [Text(f"{each.created_at:%Y-%m-%d %H:%M}") for each in summaries],
    }
    return table_that_fits(columns, width, left=("study", "data", "started (UTC)"))


def _optuna_table(studies: Sequence[OptunaStudy], width: int) -> Table:
    columns = {
        "study": [Text(printable(each.name), "bold") for each in studies],
        "best": [Text("–" if each.best_value is None else f"{each.best_value:.6g}") for each in studies],
        **{state: [_state_count(each, state) for each in studies] for state in _STATES},
    }
    return table_that_fits(columns, width, left=("study",))


def _state_count(summary: StudySummary | OptunaStudy, state: str) -> Text:
    count = getattr(summary, state)
    return Text(str(count), STATE_STYLES[state] if count else "dim")


def _workers_table(workers: Sequence[WorkerStatus], width: int) -> Table:
    columns = {
        "worker": [Text(printable(each.worker)) for each in workers],
        "trial": [Text("–" if each.number is None else str(each.number)) for each in workers],
        "epochs done": [Text(str(each.epoch)) for each in workers],
        "attempt": [Text("–" if each.attempt is None else str(each.attempt)) for each in workers],
        "last progress": [_ago(each.silent_seconds) for each in workers],
        "lease until (UTC)": [_lease(each) for each in workers],
    }
    return table_that_fits(columns, width, left=("worker", "last progress", "lease until (UTC)"))


def _lease(worker: WorkerStatus) -> Text:
    until = f"{worker.lease_until:%H:%M:%S}"
    if worker.lease_seconds_left > 0:
        return Text(f"{until}, {worker.lease_seconds_left:.0f} s left")
    return Text(f"{until}, expired: another worker can claim the trial", "yellow")


def _ago(seconds: float | None) -> Text:
    return Text("–" if seconds is None else f"{formatting.duration(max(0.0, seconds))} ago")


def _interrupted_table(trials: Sequence[Interrupted], width: int) -> Table:
    columns = {
        "interrupted": [Text(f"trial {each.number}") for each in trials],
        "epochs done": [Text(str(each.epoch)) for each in trials],
        "attempts": [Text(str(each.attempts)) for each in trials],
        "last outcome": [
            Text(each.outcome or "", "yellow" if each.outcome in ("lost", "hung") else "") for each in trials
        ],
    }
    return table_that_fits(columns, width, left=("interrupted", "last outcome"))
