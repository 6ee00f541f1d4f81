"""Does something keep the graphs of earlier steps? Then memory grows with every step, and time may too."""

from __future__ import annotations

from hpo.checks.base import warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy
from hpo.text import counted


def kept_graphs(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Report losses that are kept with their graphs, and passes that use the graph of an earlier step."""
    updates = seen.updates
    if updates.kept_graphs:
        message = (
            f"the graphs of {counted(updates.kept_graphs, 'early loss', 'early losses')} still existed many "
            "steps later: memory grows with every step"
        )
        remedy = fix("detach_losses", "add up loss.item() or loss.detach(), not the loss itself")
        return [_found(float(updates.kept_graphs), message, remedy)]
    if updates.carried_from >= 0:
        message = f"a forward pass used the graph of an earlier step (step {updates.carried_from})"
        remedy = fix("detach_losses", "detach what is carried from step to step, such as a hidden state")
        return [_found(1.0, message, remedy)]
    return []


def _found(value: float, message: str, remedy: Remedy) -> Finding:
    return warn("kept_graphs", value, 0.0, message, remedy, cause="graph_kept", confidence=0.9)
