"""Whether the dashboard can listen where it does by default."""

from __future__ import annotations

import errno
import socket

from hpo.reporting.dashboard import DEFAULT_PORT
from hpo.reporting.doctor.diagnosis import Diagnosis, ok, warning


def dashboard(port: int = DEFAULT_PORT) -> Diagnosis:
    """Whether its port is free on this machine."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ok(f"port {port} is free for `hpo dashboard`")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return warning(
                f"port {port} is in use: by a dashboard already, or another program",
                "name another one (`hpo dashboard --port 8081`), or let --port 0 find one",
            )
        return warning(
            f"port {port} cannot be listened on: {error}", "name another one: `hpo dashboard --port N`"
        )
