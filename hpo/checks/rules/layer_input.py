"""Do the first layers with weights get values of a usual size? Inputs may be scaled inside the model.

Source: LeCun et al. 1998, Efficient BackProp: inputs near 0 with a deviation near 1.
"""

from __future__ import annotations

from hpo.checks.base import note, warn
from hpo.checks.data_facts import LayerInput
from hpo.checks.derived import has_learned, is_outcome_known
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding

_HIGH = 30.0
"""Bytes have about 100, standardized features 1; polynomials of these up to 12."""
_FAR = 100.0
"""Above it a warning needs no outcome, only that nothing shows that the network learned."""
_LOW = 4e-3
"""Pixels in [0, 1] that were divided by 255 once more have about 1e-3; quiet sounds 1e-2."""
_LOST = 1e-4
"""Below it normalization does not help: its epsilon outweighs the variance."""


def layer_input(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Judge what the first layers with weights got, unless an embedding or normalization comes first."""
    if seen.data is None or (seen.data.batches.rows == 1 and seen.data.batches.relabeled):
        return []  # `constant_inputs` reports this
    for given in seen.data.inputs:
        if not (given.is_first or given.is_raw):
            continue
        if given.rms > _HIGH and not given.is_normalized:
            message = f"it gets inputs of a size of {given.rms:.3g}; about 1 is usual"
            return [_finding(seen, given, given.rms, _HIGH, message, certain=given.rms > _FAR)]
        if given.std < (_LOST if given.is_normalized else _LOW):
            message = f"its inputs hardly vary: their standard deviation is {given.std:.2g}; about 1 is usual"
            return [_finding(seen, given, given.std, _LOW, message, certain=given.std < _LOST)]
    return []


def _finding(
    seen: Observations, given: LayerInput, value: float, threshold: float, message: str, *, certain: bool
) -> Finding:
    remedy = fix(
        "scale_input",
        "subtract the mean of each input over the training set and divide by its deviation, exactly once",
    )
    is_harmful = not has_learned(seen) and (certain or (seen.ended and is_outcome_known(seen)))
    return (warn if is_harmful else note)(
        "layer_input",
        value,
        threshold,
        message,
        remedy,
        step=seen.steps,
        layer=given.layer,
        cause="input_scale",
        confidence=0.92 if is_harmful else 0.5,
    )
