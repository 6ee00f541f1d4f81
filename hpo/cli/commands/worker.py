"""``hpo worker``: serve the submitted studies of a database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Device, Storage, Tags, storage_url

if TYPE_CHECKING:
    from hpo.events import Event
    from hpo.workers.messages import Emit


class LogFormat(StrEnum):
    """Format of the log of `hpo worker`."""

    TEXT = "text"
    JSON = "json"


def worker(
    studies: Annotated[
        list[str] | None,
        typer.Argument(metavar="STUDY", help="Names of studies. [default: all]", show_default=False),
    ] = None,
    storage: Storage = None,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=256,
            metavar="N",
            help="Number of trials trained in parallel, each in its own process. "
            "[default: one per core, at most 4; 1 on a GPU]",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    tags: Tags = "",
    until_idle: Annotated[
        bool,
        typer.Option("--until-idle", help="Exit when all studies are over, instead of waiting for more."),
    ] = False,
    log_format: Annotated[
        LogFormat, typer.Option(help="Lines of text, or one JSON object per line.")
    ] = LogFormat.TEXT,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Serve metrics for Prometheus at this port, without a login; 0 for any free port. "
            "[default: off]",
            show_default=False,
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address of the metrics; 0.0.0.0 admits other machines.")
    ] = "127.0.0.1",
) -> None:
    """Train the trials of all open studies, or of those named.

    Serves studies by priority, then those with the fewest workers. On SIGTERM, SIGHUP or Ctrl-C it saves and
    releases its trials, so that other workers can resume them, and exits with 143, 129 or 130. With
    --until-idle it exits with 0, with 1 if a study could not be served, or with 3 if trials failed here.
    """
    import sys

    from hpo.cli.console import data_output
    from hpo.cli.output import saying_what_is_saved
    from hpo.cli.views.lines import WorkerLog
    from hpo.cli.views.notices import default_workers, warn_if_oversubscribed
    from hpo.config.parsing.sections import read_tags
    from hpo.workers.messages import WorkOrder
    from hpo.workers.service import serve_studies

    url = storage_url(storage)
    _check_names(url, studies or [], must_exist=until_idle)
    count = slots or default_workers(device, None, "--slots")
    warn_if_oversubscribed(count)
    order = WorkOrder(
        url, tuple(studies or ()), device, count, read_tags(tags),
        service=True, waits=not until_idle,
    )  # fmt: skip
    as_json = log_format is LogFormat.JSON
    log = WorkerLog(data_output() if as_json else sys.stdout, as_json=as_json)
    saved = saying_what_is_saved("other workers can resume them")
    with saved, _with_metrics(log.show, metrics_host, metrics_port) as on_event:
        summary = serve_studies(order, on_event)
    log.end(summary)
    raise typer.Exit(summary.exit_code)


@contextmanager
def _with_metrics(show: Emit, host: str, port: int | None) -> Iterator[Emit]:
    """Provide ``show``, or if a port is given a function that counts events for its metrics as well."""
    if port is None:
        yield show
        return
    from hpo.cli.console import stderr
    from hpo.workers.metrics import WorkerMetrics, metrics_served

    metrics = WorkerMetrics()

    def count_and_show(event: Event) -> None:
        metrics.count(event)
        show(event)

    with metrics_served(metrics, host, port) as address:
        stderr().print(f"metrics at {address}", soft_wrap=True)
        yield count_and_show


def _check_names(url: str, names: list[str], *, must_exist: bool) -> None:
    """Warn of, or refuse, names that are not in the database: studies to come, or typing errors."""
    from hpo.cli.console import print_warning
    from hpo.cli.database import study_in_database
    from hpo.errors import UnknownStudyError
    from hpo.storage.schema import inspect_schema
    from hpo.storage.studies import unknown_study

    state = inspect_schema(url) if names else None
    if state is None or (state.revision and not state.current):
        return  # the worker has to upgrade the database before it can be read
    for name in names:
        try:
            if not state.revision:
                raise unknown_study(name, ())
            study_in_database(url, name)
        except UnknownStudyError as error:
            if must_exist:
                raise
            print_warning(f"{error}; waiting for it")
