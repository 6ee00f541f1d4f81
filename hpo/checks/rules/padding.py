"""Is much of the loss about padding? Then it falls although little is learned of what matters."""

from __future__ import annotations

import math

from hpo.checks.base import warn
from hpo.checks.facts import loss_kind
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_MOST = 0.25
_IGNORE = fix("ignore_padding", "leave padding out of the loss, as with ignore_index=PADDING")


def padding(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report sequences all of which end with the same class, for most of their length, and are learned so."""
    shares = [audit.tail for audit in seen.audits if not math.isnan(audit.tail)]
    if not shares or min(shares) < _MOST or loss_kind(seen) not in ("cross_entropy", "nll"):
        return []
    message = f"{min(shares):.0%} of the loss is about one class at the end of all sequences: padding"
    return [warn("padding", min(shares), _MOST, message, _IGNORE, cause="wrong_loss", confidence=0.85)]
