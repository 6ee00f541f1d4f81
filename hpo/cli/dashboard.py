"""``hpo dashboard``: curves in a browser."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Storage, storage_url


def dashboard(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="The port; 0 for any free one.")
    ] = 8080,
    storage: Storage = None,
) -> None:
    """Show curves and trials in a browser (optuna-dashboard)."""
    from hpo.cli.console import stderr, stdout
    from hpo.reporting.dashboard import is_local, make_server

    server = make_server(storage_url(storage), host, port)
    if not is_local(host):
        warning = "there is no login: anyone who reaches this address can read and delete studies"
        stderr().print(f"warning: {warning}", style="yellow", soft_wrap=True)
    stdout().print(f"{server.address}  (Ctrl-C ends it)")
    server.serve()
