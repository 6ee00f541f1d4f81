"""The exact statements of a recorded epoch, replayed by pgbench, whose clients use almost no CPU time."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import event

from hpo.storage.store import ResultsStore

_FIRST_TRIAL = 70_000_001
"""A number that occurs nowhere else in the statements, as ``EPOCH`` is."""
EPOCH = 90_000_001


def number_trials_from_here(store: ResultsStore) -> None:
    """Make the next trial of the database the first of the replay."""
    with psycopg.connect(store.url) as connection:
        connection.execute(f"ALTER SEQUENCE trials_trial_id_seq RESTART WITH {_FIRST_TRIAL}".encode())


@contextmanager
def _sent_statements(store: ResultsStore) -> Iterator[list[bytes]]:
    """Collect the statements sent to the database meanwhile, with their values."""
    sent: list[bytes] = []

    def note(_connection: Any, cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        client = psycopg.ClientCursor(cursor.connection)
        sent.extend(client.mogrify(statement, each).encode() for each in (values if many else [values]))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def script(store: ResultsStore, transactions: list[Callable[[], None]]) -> str:
    """Return the transactions' statements as a script for any client's trial and epoch."""
    parts = [r"\set trial " + f"{_FIRST_TRIAL} + :client_id", r"\set epoch random(1, 2000000000)"]
    for transaction in transactions:
        with _sent_statements(store) as sent:
            transaction()
        parts += ["BEGIN;", *(f"{_for_any(each.decode())};" for each in sent), "COMMIT;"]
    return "\n".join(parts) + "\n"


def _for_any(statement: str) -> str:
    text = " ".join(statement.split()).replace(str(_FIRST_TRIAL), ":trial").replace(str(EPOCH), ":epoch")
    return re.sub(r"(hpo_slot\.slot = )0\b", r"\1:client_id", text)


def replay(
    url: str, programs: Path, folder: Path, text: str, clients: int, rate: float, seconds: float
) -> list[float]:
    """Record ``rate`` epochs per second over ``clients`` connections; return each one's seconds since due."""
    file, log = folder / "epoch.sql", folder / f"log-{rate:g}"
    file.write_text(text)
    command = [
        programs / "pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}", "--jobs=1",
        f"--time={seconds:.0f}", f"--rate={rate}", f"--file={file}", "--log", f"--log-prefix={log}", url,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    lines = [line.split() for each in folder.glob(f"{log.name}.*") for line in each.read_text().splitlines()]
    return sorted(int(line[2]) / 1e6 for line in lines)
