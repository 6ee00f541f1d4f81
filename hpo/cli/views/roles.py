"""The SQL of roles as a script for psql, and the passwords for their logins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpo.errors import UserError
from hpo.settings import first_line
from hpo.storage.roles import ROLES, statements


def as_script() -> str:
    """Return the SQL as one transaction, below comments that explain it."""
    head = [
        "-- Run as the owner of hpo's tables, after `hpo db upgrade`: hpo db roles | psql DATABASE",
        *(f"-- {role} {purpose}" for role, purpose in ROLES.items()),
        "-- To add a person or a service: CREATE ROLE ada LOGIN PASSWORD '...' IN ROLE hpo_viewer;",
    ]
    return "\n".join([*head, "BEGIN;", *(f"{statement};" for statement in statements()), "COMMIT;"])


def read_logins(options: Sequence[str]) -> dict[str, str]:
    """Return passwords by role from ``ROLE=FILE``.

    Raises ``UserError`` for an unknown role or a file without a password.
    """
    found = {}
    for option in options:
        role, _, name = option.partition("=")
        if role not in ROLES or not name:
            raise UserError(f"--login {option}: expected ROLE=FILE, where ROLE is one of {', '.join(ROLES)}")
        found[role] = first_line(Path(name), f"the password of {role}")
        if not found[role]:
            raise UserError(f"{name}: there is no password in its first line")
    return found
