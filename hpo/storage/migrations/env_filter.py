"""What Alembic may look at."""

from __future__ import annotations

from typing import Any


def only_ours(_item: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
    """Keep Optuna's tables out, or autogenerate proposes to drop them."""
    return kind != "table" or (name or "").startswith("hpo_")
