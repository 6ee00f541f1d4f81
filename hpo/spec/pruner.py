"""What ends trials early because others are ahead: pruners by name, and what can be set for each."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import Field

from hpo.spec.method import Method, Options


class NoPruning(Options):
    """Every trial is trained to its end."""


class Asha(Options):
    """Asynchronous successive halving (Li et al., MLSys 2020): at each rung only the best share goes on."""

    reduction: int = Field(
        default=3,
        description="one in so many trials goes on at a rung, and the next rung has so many times the epochs",
        ge=2,
        le=100,
    )
    min_epochs: int = Field(default=1, description="epochs of the first rung", ge=1)
    promote: bool = Field(
        default=False,
        description="pause a trial below the best share instead of stopping it, and go on with it from its "
        "checkpoint once it is among the best share",
    )


class Hyperband(Asha):
    """Asha in brackets that begin at later and later rungs (Li et al., JMLR 18, 2018), dealt out by slot."""


class Median(Options):
    """The median rule (Golovin et al., KDD 2017): who is below the median of an epoch is stopped."""

    warmup_epochs: int = Field(default=1, description="epochs in which nothing is stopped", ge=0)
    min_trials: int = Field(
        default=5, description="trials that must have come to an epoch before it stops one", ge=2
    )


Rules: TypeAlias = Asha | Hyperband | Median


def _pruner(description: str) -> Any:
    return Field(default=None, description=description)


class Pruner(Method):
    """What ends trials early."""

    none: NoPruning | None = _pruner("every trial is trained to its end")
    asha: Asha | None = _pruner("the best share of those that came to a rung so far goes on")
    hyperband: Hyperband | None = _pruner("asha in brackets that begin at later and later rungs")
    median: Median | None = _pruner("who is below the median of an epoch is stopped")

    @property
    def rules(self) -> Rules | None:
        """The options of the one that is set; None for none."""
        options: Rules | NoPruning = self.options
        return None if isinstance(options, NoPruning) else options
