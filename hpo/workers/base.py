"""What every executor shares: the order that a worker gets, and how it reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from hpo.events import Event

Emit: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True)
class Ready:
    """Who a worker is, and what it trains on, once it has looked."""

    worker: str
    device: str
    precision: str
    threads: int


@dataclass(frozen=True)
class WorkOrder:
    """Which study a worker serves, and with what. Small and picklable: the rest is in the database."""

    storage_url: str
    study: str
    device: str
    workers: int
    """How many workers share this machine's cores."""
