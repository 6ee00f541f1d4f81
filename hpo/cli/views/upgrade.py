"""What an upgrade does to a database, in words."""

from __future__ import annotations

from hpo.storage.revision import HEAD
from hpo.storage.schema import SchemaState
from hpo.storage.url import parse_url, place


def plan(url: str, state: SchemaState) -> str:
    """One sentence for each state that a database can be in."""
    where = place(parse_url(url))
    if state.current:
        return f"{where} is current (schema {HEAD})"
    if state.is_optunas_alone:
        studies = (
            "study stays as it is"
            if state.optuna_studies == 1
            else f"{state.optuna_studies:,} studies stay as they are"
        )
        ours = f"hpo's tables and views (schema {HEAD})"
        return f"add {ours} to {where}, beside Optuna's, whose {studies}"
    if state.revision is None:
        return f"make every table and view (schema {HEAD}) in {where}"
    if state.revision == HEAD:
        return f"make the views of {where} anew (schema {HEAD})"
    return f"upgrade {where} from schema {state.revision} to {HEAD}"
