"""Rows of hpo whose study or trial no longer exists in Optuna's tables."""

from __future__ import annotations

from sqlalchemy import Connection, text

UID_ATTRIBUTE = "hpo_study"
"""The user attribute of Optuna's study that holds `hpo_study.uid`."""

# SQLite gives a deleted study's id to the next one, which may have the same name: the uid differs.
_STUDIES = text(
    """
    DELETE FROM hpo_study WHERE NOT EXISTS (
        SELECT 1
        FROM studies AS s
        JOIN study_user_attributes AS a ON a.study_id = s.study_id AND a.key = :attribute
        WHERE s.study_id = hpo_study.study_id
            AND s.study_name = hpo_study.name
            AND a.value_json = '"' || hpo_study.uid || '"'
    )
    """
)
_TRIALS = text(
    """
    DELETE FROM hpo_trial WHERE NOT EXISTS (
        SELECT 1 FROM trials AS t WHERE t.trial_id = hpo_trial.trial_id AND t.study_id = hpo_trial.study_id
    )
    """
)


def delete_orphans(connection: Connection) -> None:
    """Delete what a deletion with Optuna's own tools left behind; foreign keys delete the rest.

    Blocks others from creating a study until the transaction ends: call this first when creating one.

    PostgreSQL's foreign keys leave nothing behind, but Optuna's SQLite connections do not enforce them.
    """
    if connection.dialect.name == "postgresql":  # SQLite runs one write transaction at a time anyway
        connection.execute(text("LOCK TABLE hpo_study IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(_STUDIES, {"attribute": UID_ATTRIBUTE})
    connection.execute(_TRIALS)
