"""The same programs, watched by another tool as its documentation shows it.

``neuraldbg`` (1.3.2): ``with NeuralDbg(model) as dbg``, ``dbg.record_loss`` of each step, and after the
training ``dbg.explain_failure`` for each failure type that its documentation lists. Its edition on PyPI
answers for two of the six. What it noticed of the others is in ``dbg.events``: the generous reading.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from loop_programs.program import PROGRAMS, Program
from loop_programs.runs import trained

INSTALL = (
    "neuraldbg is not installed. hpo does not depend on it; install both in a new environment:\n"
    "  python -m venv /tmp/rivals && /tmp/rivals/bin/pip install -e . neuraldbg==1.3.2\n"
    "  /tmp/rivals/bin/python benchmarks/loops.py rivals"
)
FAILURES = (
    *("vanishing_gradients", "exploding_gradients", "dead_neurons", "saturated_activations"),
    *("optimizer_instability", "data_anomaly"),
)
"""The failure types of neuraldbg's documentation."""
NAMES: dict[str, tuple[str, ...]] = {
    "vanishing": ("vanishing_gradients",),
    "exploding": ("exploding_gradients", "exploding_loss"),
    "saturated": ("saturated_units",),
    "dead": ("dead_units",),
    "anomalous": ("bad_init", "input_scale"),
    "loss_plateau": ("not_learning", "lr_too_low", "schedule"),
    "loss_spike": ("lr_too_high", "exploding_loss"),
    "diverging": ("lr_too_high", "exploding_loss"),
    "nan_detected": ("exploding_loss", "wrong_loss"),
    "inf_detected": ("exploding_loss", "wrong_loss"),
    "distribution_shift": ("train_val_mismatch", "input_scale", "augmentation"),
}
"""The states of neuraldbg, and the causes of hpo that say the same."""


@dataclass
class Reported:
    """What a rival said about one program."""

    name: str
    mistake: str
    expected: tuple[str, ...]
    raised: list[str] = field(default_factory=list)
    disturbed: bool = False
    explained: list[str] = field(default_factory=list)
    """States that ``explain_failure`` names, the first of them first."""
    noticed: list[str] = field(default_factory=list)
    """States of all events, in order."""
    seconds: float = 0.0
    watched_seconds: float = 0.0


class NeuralDbgSitter:
    """Takes the calls of a program's babysitter and makes those that neuraldbg documents."""

    def __init__(self, model: torch.nn.Module, optimizer: object, **given: object) -> None:
        from neuraldbg import NeuralDbg

        self.debugger: Any = NeuralDbg(model)
        self.debugger.__enter__()
        self._steps = 0

    def before(self, *examples: object, **more: object) -> None:
        """It has no checks before training."""

    def step(self, loss: Any, labels: object = None) -> None:
        """Record the loss of a step."""
        self.debugger.step = self._steps
        self.debugger.record_loss(float(torch.as_tensor(loss).detach().float().mean()))
        self._steps += 1

    def epoch(self, **numbers: object) -> None:
        """It takes no numbers of epochs."""

    def after(self) -> None:
        """End the monitoring."""
        self.debugger.__exit__(None, None, None)

    def explained(self) -> list[str]:
        """Return the states that it explains."""
        found = [each for failure in FAILURES for each in self.debugger.explain_failure(failure)]
        found.sort(key=lambda each: -each.confidence)
        return _states(event for each in found for event in each.evidence)

    def noticed(self) -> list[str]:
        """Return the states of all its events."""
        return _states(self.debugger.events)


def _states(events: Any) -> list[str]:
    return [state for state in dict.fromkeys(str(each.to_state) for each in events) if state in NAMES]


def reported(name: str) -> Reported:
    """Train the program ``name`` without and with neuraldbg."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    os.chdir(tempfile.mkdtemp())  # it writes a folder of artifacts where it runs
    program = PROGRAMS[name]
    plain, watched = trained(program), trained(program, NeuralDbgSitter)
    fault, sitter = program.fault, watched.record.babysitter
    result = Reported(
        name,
        fault.mistake if fault else "",
        fault.causes if fault else (),
        raised=list(dict.fromkeys(watched.record.raised)),
        disturbed=plain.score != watched.score,
        seconds=plain.seconds,
        watched_seconds=watched.seconds,
    )
    if watched.error and watched.error != plain.error:
        result.raised.append(f"in the loop: {watched.error}")
    if sitter is not None:
        try:
            result.explained, result.noticed = sitter.explained(), sitter.noticed()
        except Exception as error:
            result.raised.append(f"explain_failure: {type(error).__name__}: {error}"[:200])
    return result


def reports(chosen: Sequence[Program], jobs: int) -> Iterator[Reported]:
    """Yield what neuraldbg says of each program. Raises ``SystemExit`` if it is not installed."""
    if importlib.util.find_spec("neuraldbg") is None:
        raise SystemExit(INSTALL)
    torch.optim.SGD(torch.nn.Linear(1, 1).parameters()).zero_grad()  # loads what torch loads on first use
    with multiprocessing.get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap(reported, [each.name for each in chosen], chunksize=1)


def row(reports: Sequence[Reported], label: str, attribute: str) -> tuple[str, ...]:
    """Return one row of the table; ``attribute`` is ``explained`` or ``noticed``.

    The first explanation must name the mistake; of what was noticed, generously, anything may.
    """
    sound = [each for each in reports if not each.mistake]
    faulty = [each for each in reports if each.mistake]
    found = [each for each in faulty if getattr(each, attribute)]
    told = {each.name: getattr(each, attribute)[: 1 if attribute == "explained" else None] for each in found}
    named = [
        each for each in found if any(set(NAMES[state]) & set(each.expected) for state in told[each.name])
    ]
    seconds = sum(each.seconds for each in reports)
    return (
        label,
        _share(sum(bool(each.raised) for each in reports), len(reports)),
        _share(sum(each.disturbed for each in reports), len(reports)),
        _share(sum(bool(getattr(each, attribute)) for each in sound), len(sound)),
        _share(len(found), len(faulty)),
        _share(len(named), len(faulty)),
        f"{sum(each.watched_seconds for each in reports) / seconds:.2f} x" if seconds else "none",
    )


HEADER = ("tool", "raised", "changed", "sound blamed", "detected", "named", "processor time")


def _share(count: int, of: int) -> str:
    return f"{count}/{of} ({count / of:.0%})" if of else "none"
