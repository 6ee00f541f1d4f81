"""Describe what an upgrade does to a database."""

from __future__ import annotations

from hpo.storage.revision import HEAD
from hpo.storage.schema import SchemaState
from hpo.storage.url import parse_url, place
from hpo.text import counted


def plan(url: str, state: SchemaState) -> str:
    """Return what ``hpo db upgrade`` would do to a database in this state."""
    where = place(parse_url(url))
    if state.current:
        return f"{where} is up to date (schema {HEAD})"
    if state.is_optunas_alone:
        studies = (
            "study stays unchanged"
            if state.optuna_studies == 1
            else f"{counted(state.optuna_studies, 'study stays', 'studies stay')} unchanged"
        )
        ours = f"hpo's tables and views (schema {HEAD})"
        return f"add {ours} to {where}, next to those of Optuna, whose {studies}"
    if state.revision is None:
        return f"create all tables and views (schema {HEAD}) in {where}"
    if state.revision == HEAD:
        return f"recreate the views of {where} (schema {HEAD})"
    return f"upgrade {where} from schema {state.revision} to {HEAD}"
