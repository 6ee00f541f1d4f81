"""``hpo worker``: serve the studies of a database, whoever submitted them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hpo.cli.options import Storage, Tags, storage_url


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
) -> None:
    """Serve every open study of the database, or those named: by priority, then the one least served.

    SIGTERM or Ctrl-C: trials are saved, given back at once, and others go on with them. Exits with 143 or
    130 then; with --until-idle with 0, or 1 if a study could not be served.
    """
    import sys

    from hpo.cli.run import default_workers, warn_of_too_many
    from hpo.cli.worker_log import WorkerLog
    from hpo.spec.needs import read_tags
    from hpo.workers.base import WorkOrder
    from hpo.workers.service import serve_studies

    count = slots or default_workers(device, None, "--slots")
    warn_of_too_many(count)
    order = WorkOrder(
        storage_url(storage), tuple(studies or ()), device, count, read_tags(tags),
        service=True, waits=not until_idle,
    )  # fmt: skip
    log = WorkerLog(sys.stdout, as_json=log_format is LogFormat.JSON)
    summary = serve_studies(order, log.show)
    log.end(summary)
    raise typer.Exit(summary.exit_code)
