"""What a study's trials have of its second objective, and how many are beyond its limit."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, func, select

from hpo.checks.causes import BEYOND_LIMIT
from hpo.config.study import StudySpec
from hpo.config.tradeoff import Limit, Tradeoff
from hpo.storage.engine import reading
from hpo.storage.studies import KNOWN, find_study
from hpo.storage.tables import TrialRow
from hpo.storage.views import VIEW_TABLES
from hpo.text import counted


@dataclass(frozen=True)
class TradeoffPoint:
    """A complete trial of the search; ``amount`` is what it has of the quantity."""

    number: int
    stage: str
    value: float
    amount: float
    on_front: bool


@dataclass(frozen=True)
class Tradeoffs:
    """The second objective of a study, its trials that have it, and its limits."""

    of: Tradeoff
    limits: tuple[Limit, ...]
    points: tuple[TradeoffPoint, ...]
    """The least of the quantity first, the most if more is better."""
    complete: int
    beyond: int
    """The number of trials that ended beyond a limit."""

    @property
    def front(self) -> list[TradeoffPoint]:
        """The trials than which none is better in both: from the cheapest to the one with the best value."""
        return [each for each in self.points if each.on_front]

    @property
    def limit_text(self) -> str:
        """The limits in words; empty for none."""
        return " and ".join(each.of.bound(each.amount) for each in self.limits)

    @property
    def none_within(self) -> str:
        """That no trial is within the limit; empty if one is, or if none is known to be beyond it."""
        if self.complete or not self.beyond:
            return ""
        return f"no trial is within the limit of {self.limit_text}: {self._are_beyond}"

    @property
    def remark(self) -> str:
        """How the trials fare with the limit; empty without one."""
        if not self.limits or self.none_within:
            return self.none_within
        beyond = f"{self._are_beyond}, and never the best" if self.beyond else "no trial is beyond it"
        return f"limit: {self.limit_text}; {beyond}"

    @property
    def _are_beyond(self) -> str:
        return f"{counted(self.beyond, 'trial')} {'is' if self.beyond == 1 else 'are'} beyond it"


def study_tradeoffs(engine: Engine, name: str) -> Tradeoffs | None:
    """Return the trade-offs of a study; None without a second objective. Raises ``UnknownStudyError``."""
    with reading(engine) as connection:
        study = find_study(connection, name)
        spec = StudySpec.model_validate(study.spec)
        second = spec.tradeoffs.goal
        if second is None:
            return None
        view = VIEW_TABLES["tradeoffs"]
        chosen = select(*(view.c[each] for each in ("number", "stage", "value", "amount", "on_front"))).where(
            view.c.study == name, view.c.amount.is_not(None)
        )
        cost = view.c.amount if second.lower_is_better else -view.c.amount
        rows = connection.execute(chosen.order_by(cost, view.c.number)).all()
        ended = (
            select(TrialRow.outcome, TrialRow.cause, func.count())
            .join(KNOWN, KNOWN.c.trial_id == TrialRow.trial_id)
            .where(TrialRow.study_id == study.study_id)
            .group_by(TrialRow.outcome, TrialRow.cause)
        )
        counts = connection.execute(ended).all()
    return Tradeoffs(
        of=second,
        limits=spec.tradeoffs.limits,
        points=tuple(
            TradeoffPoint(row.number, row.stage, row.value, row.amount, bool(row.on_front)) for row in rows
        ),
        complete=sum(count for outcome, _, count in counts if outcome == "complete"),
        beyond=sum(count for _, cause, count in counts if cause == BEYOND_LIMIT),
    )
