"""Changing what a column may hold, on both databases."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text


def change_check(table: str, name: str, old: str, new: str) -> None:
    """Put the condition ``new`` in the place of ``old`` in the check constraint ``name``."""
    if op.get_context().dialect.name == "postgresql":
        op.drop_constraint(name, table, type_="check")
        op.create_check_constraint(name, table, new)
        return
    # SQLite changes a constraint by recreating the table (https://sqlite.org/lang_altertable.html, 7).
    connection = op.get_bind()
    made_by = connection.scalar(
        text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table"), {"table": table}
    )
    # They go with the old table. Those that a constraint made have no statement.
    indexes = connection.scalars(
        text("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table AND sql IS NOT NULL"),
        {"table": table},
    ).all()
    assert old in made_by, f"{table} has no check {old}"
    changed = made_by.replace(old, new).replace(table, f"{table}_new", 1)
    # Views that read the table are left alone when the new one takes its name.
    for statement in (
        "PRAGMA legacy_alter_table = ON",
        changed,
        f"INSERT INTO {table}_new SELECT * FROM {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE {table}_new RENAME TO {table}",
        "PRAGMA legacy_alter_table = OFF",
        *indexes,
    ):
        op.execute(statement)
