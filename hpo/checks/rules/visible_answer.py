"""Can the network read the answer off its input?"""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy

_GIVEN = 0.95
"""Share of the tokens to be predicted that are found in the input."""
_LOOKS, _BLIND = 1e-2, 1e-4
"""Change of earlier outputs by later tokens, over their spread: seen by the network; only rounding."""
_SIGNAL = 6.0
"""Standard deviations above which other inputs tell the labels too: one that is the label stands out."""


def visible_answer(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge visible tokens that are to be predicted, wrongly cut outputs, and inputs that are the label."""
    if seen.data is None:
        return []
    found = seen.data.answers
    if found.next_place > _GIVEN and found.looks_ahead > _LOOKS:
        message = "each output depends on later tokens, and the next token is what it has to predict"
        remedy = fix("hide_answer", "mask later tokens (is_causal), or let layers run one way only")
        return [_warn(found.looks_ahead, _LOOKS, message, remedy, "label_leak", 0.95)]
    if found.same_place > _GIVEN and found.looks_ahead < _BLIND and found.looks_at_place > _LOOKS:
        message = "the token to be predicted at each place is given there: the targets are not shifted"
        remedy = fix("fix_labels", "predict tokens[:, 1:] from tokens[:, :-1]")
        return [_warn(found.same_place, _GIVEN, message, remedy, "wrong_loss", 0.95)]
    if found.is_reshaped:
        message = (
            "outputs were reshaped before the loss where they should be transposed: classes mix with places"
        )
        remedy = fix("fix_shapes", "bring classes to dimension 1 with transpose, not with reshape or view")
        return [_warn(1.0, 0.0, message, remedy, "wrong_loss", 0.9)]
    return _column(seen)


def _column(seen: Observations) -> list[Finding]:
    assert seen.data is not None
    found = seen.data.answers
    if found.column < 0:
        return []
    message = f"input {found.column} of each example tells its label exactly: is the label among the inputs?"
    remedy = fix("hide_answer", "take the label out of the inputs")
    make = warn if found.others > _SIGNAL else note
    return [
        make(
            "visible_answer",
            float(found.column),
            0.0,
            message,
            remedy,
            cause="label_leak",
            confidence=0.85,
        )
    ]


def _warn(
    value: float, threshold: float, message: str, remedy: Remedy, cause: str, confidence: float
) -> Finding:
    return warn("visible_answer", value, threshold, message, remedy, cause=cause, confidence=confidence)
