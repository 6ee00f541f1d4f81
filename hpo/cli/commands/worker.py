"""``hpo worker``: serve the studies of a database, whoever submitted them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Storage, Tags, storage_url

if TYPE_CHECKING:
    from hpo.events import Event
    from hpo.workers.messages import Emit


class LogFormat(StrEnum):
    """How `hpo worker` writes what happens."""

    TEXT = "text"
    JSON = "json"


def worker(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="[STUDY]...", help="Studies by name. [default: all]", show_default=False),
    ] = None,
    storage: Storage = None,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            metavar="N",
            help="Trials at the same time, each in a process. [default: one a core, at most 4; 1 on a GPU]",
            show_default=False,
        ),
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    tags: Tags = "",
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when every study is over instead of waiting for more.")
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Lines for people, or a JSON object a line.")
    ] = LogFormat.TEXT,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Answer Prometheus at this port, without a login; 0 for any free one. [default: do not]",
            show_default=False,
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address for it; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
) -> None:
    """Serve every open study of the database, or those named: by priority, then the one least served.

    SIGTERM or Ctrl-C: trials are saved, given back at once, and others go on with them. Exits with 143 or
    130 then; with --until-idle with 0, or 1 if a study could not be served.
    """
    import sys

    from hpo.cli.commands.run import default_workers, warn_of_too_many
    from hpo.cli.views.lines import WorkerLog
    from hpo.config.parsing.sections import read_tags
    from hpo.workers.messages import WorkOrder
    from hpo.workers.run import serve_studies

    url = storage_url(storage)
    _look_for(url, studies or [], must_be_there=until_idle)
    count = slots or default_workers(device, None, "--slots")
    warn_of_too_many(count)
    order = WorkOrder(
        url, tuple(studies or ()), device, count, read_tags(tags),
        service=True, waits=not until_idle,
    )  # fmt: skip
    log = WorkerLog(sys.stdout, as_json=log_format is LogFormat.JSON)
    with _counted(log.show, metrics_host, metrics_port) as hear:
        summary = serve_studies(order, hear)
    log.end(summary)
    raise typer.Exit(summary.exit_code)


@contextmanager
def _counted(show: Emit, host: str, port: int | None) -> Iterator[Emit]:
    """Hears of events: shows each, and counts it for who asks at this port."""
    if port is None:
        yield show
        return
    from hpo.cli.console import stderr
    from hpo.workers.metrics import WorkerMetrics, metrics_served

    metrics = WorkerMetrics()

    def hear(event: Event) -> None:
        metrics.count(event)
        show(event)

    with metrics_served(metrics, host, port) as address:
        stderr().print(f"metrics at {address}", soft_wrap=True)
        yield hear


def _look_for(url: str, names: list[str], *, must_be_there: bool) -> None:
    """A named study that is not in the database may be to come, or be a slip of the pen: say so."""
    from hpo.cli.console import stderr
    from hpo.cli.views.tables import study_in_database
    from hpo.errors import UnknownStudyError
    from hpo.storage.schema import inspect_schema

    state = inspect_schema(url) if names else None
    if state is None or (state.revision and not state.current):
        return  # the worker will upgrade the database, and can read it only then
    for name in names:
        try:
            if not state.revision:
                raise UnknownStudyError(f"there is no study {name}: no study has been submitted here yet")
            study_in_database(url, name)
        except UnknownStudyError as error:
            if must_be_there:
                raise
            stderr().print(f"warning: {error}; it is waited for", style="yellow", soft_wrap=True)
