"""``hpo dashboard``: studies in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpo.cli.options import Storage, storage_url
from hpo.errors import UserError
from hpo.reporting.dashboard import DEFAULT_PORT


def dashboard(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="The port; 0 for any free one.")
    ] = DEFAULT_PORT,
    writable: Annotated[
        bool, typer.Option("--writable", help="Allow notes, uploads and deleting studies in the browser.")
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="The token to log in with. Other users of this machine can see it: prefer "
            "$HPO_DASHBOARD_TOKEN or --token-file. [default: a new one, printed as a link]",
            show_default=False,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file whose first line is the token, which is then not printed."),
    ] = None,
    no_login: Annotated[
        bool, typer.Option("--no-login", help="Require no token; only for addresses of this machine.")
    ] = False,
    trusted_proxy: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="An HTTPS proxy in front, whose X-Forwarded headers are trusted."
        ),
    ] = None,
    storage: Storage = None,
) -> None:
    """Serve the web dashboard (optuna-dashboard).

    It shows studies, trials, curves and verdicts, behind a login and read-only.
    """
    from urllib.parse import quote

    from hpo.cli.console import print_warning, stdout
    from hpo.reporting.figures import give_matplotlib_a_folder

    give_matplotlib_a_folder()
    from hpo.reporting.dashboard.app import Access
    from hpo.reporting.dashboard.headers import is_local
    from hpo.reporting.dashboard.server import make_server

    secret = _token(token, token_file, no_login)
    access = Access(secret, writable, trusted_proxy)
    server = make_server(storage_url(storage), host, port, access)
    if not is_local(host) and trusted_proxy is None:
        print_warning("the token and all data are sent unencrypted: see docs/dashboard.md for HTTPS")
    without_token = secret is None or token_file is not None  # the output may go into a log
    link = server.address if without_token else f"{server.address}?token={quote(secret or '', safe='')}"
    mode = "writable" if writable else "read-only"
    stdout().print(f"{link}  ({mode}; press Ctrl-C to stop)", soft_wrap=True)
    server.serve()


def _token(given: str | None, file: Path | None, no_login: bool) -> str | None:
    """Return the token to log in with, or None for no login. Raises ``UserError``."""
    from hpo.reporting.dashboard.login import checked_token, new_token
    from hpo.settings import first_line, settings

    if sum((given is not None, file is not None, no_login)) > 1:
        raise UserError("--token, --token-file and --no-login are mutually exclusive: use one of them")
    if no_login:
        return None
    if given is not None:
        return checked_token(given)
    if file is not None:
        return checked_token(first_line(file, "the token"))
    from_environment = settings().dashboard_token
    return new_token() if from_environment is None else checked_token(from_environment.get_secret_value())
