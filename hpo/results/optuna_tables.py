"""The columns of Optuna's own tables that our queries join; Optuna creates and changes them, we only read."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table


def declare(metadata: MetaData) -> tuple[Table, Table]:
    """Optuna's ``studies`` and ``trials`` in this metadata, so that our foreign keys find them."""
    studies = Table(
        "studies",
        metadata,
        Column("study_id", Integer, primary_key=True),
        Column("study_name", String(512), nullable=False),
    )
    trials = Table(
        "trials",
        metadata,
        Column("trial_id", Integer, primary_key=True),
        Column("number", Integer),
        Column("study_id", Integer),
        # An enum type in PostgreSQL: compare it by `cast(trials.c.state, String)`.
        Column("state", String(8), nullable=False),
        Column("datetime_start", DateTime),
        Column("datetime_complete", DateTime),
    )
    return studies, trials
