"""Watches the data of a loop: the batches that its model gets, their labels, and its validation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from hpo.checks.data_facts import DataFacts, ValidationPasses
from hpo.checks.guard import Guard, Hook
from hpo.checks.measure import answers, batches, signal
from hpo.checks.measure.answers import FirstBatch
from hpo.checks.measure.displacement import Displacement
from hpo.checks.measure.examples import Examples
from hpo.checks.measure.first_layers import FirstLayers
from hpo.checks.measure.geometry import agreements
from hpo.checks.measure.nested import is_readable, outputs, tensors
from hpo.checks.measure.rows import as_one, batch_tensors, columns, described, fingerprints

DATA = "record of the data"
"""What the guard calls it."""
_STEPS = 400
"""Steps whose batches are compared."""
_ROWS = 20_000
_DESCRIBED = 480
"""Examples that are kept, to compare inputs with labels."""
_FIRST = 40
"""Batches of the first epoch whose outputs are compared with labels."""
_LAST = 40
_EVERY = 4
"""Of the steps after the first epoch, every fourth is compared with its labels."""
_RARELY = 16
"""The same after the steps whose batches are compared."""
_OUTPUTS, _ANSWERS = 128, 64
"""Columns of outputs and of labels that are kept."""
_SEVERAL = 3
"""Outputs of a model that are kept."""
_MOST_PASSES = 2000
_LABELS = ("labels", "label", "targets", "target")
"""Names of arguments that are not inputs."""
_DROPOUT = nn.modules.dropout._DropoutNd
_NUMBERS = ("_steps", "_rows", "_described", "_of_outputs", "_epochs")
"""Attributes of the monitor."""


@dataclass
class Batch:
    """The first forward pass of a step, on the device."""

    rows: Tensor | None = None
    """(B,) fingerprints."""
    labels: Tensor | None = None
    """(B, ...)."""
    label_rows: Tensor | None = None
    inputs: Tensor | None = None
    """(B, D) as ``described``."""
    outputs: Tensor | None = None
    """(B, D)."""
    width: int = 0
    """Columns of the first output."""
    number: int = 0
    is_fresh: bool = True
    """Whether it is in the first epoch."""
    is_plain: bool = False
    """Whether ``inputs`` are the values of one tensor."""

    @property
    def has_row_labels(self) -> bool:
        """Whether each example has its own label."""
        return self.rows is not None and self.labels is not None and len(self.rows) == len(self.labels)


@dataclass
class _Pass:
    """A forward pass after a step."""

    is_modal: bool
    records: bool
    """Whether gradients can be computed from it."""
    is_used: bool = False
    rows: Tensor | None = None


@dataclass
class Kept:
    """What was kept of a loop's data."""

    batches: list[Batch] = field(default_factory=list)
    """Of the first steps."""
    last: deque[Batch] = field(default_factory=lambda: deque(maxlen=_LAST))
    train: Examples | None = None
    val: Examples | None = None
    validated: list[Tensor] = field(default_factory=list)
    """Fingerprints (n,) of the passes of the first validation."""


class DataMonitor:
    """Watches the first batches of a loop and what follows the last step of each epoch.

    ``ignoring()`` is true during forward passes that are not the loop's.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        guard: Guard,
        ignoring: Callable[[], bool],
    ) -> None:
        self._model = model
        self._optimizers = optimizers
        self._guard = guard
        self._ignoring = ignoring
        self._first_layers = FirstLayers(model, guard, DATA, ignoring)
        self._modal = [each for each in model.modules() if _is_modal(each)]
        self._is_first = True
        self._handles: list[RemovableHandle] = []
        self._passes: list[_Pass] = []
        self._taken = False
        """Whether the present step has a batch already."""
        self._open: Batch | None = None
        self._steps = 0
        self._rows = self._described = self._of_outputs = 0
        self._epochs = 0
        self._validations: list[ValidationPasses] = []
        self._first_epoch: batches.FirstEpoch | None = None
        self._displacement = Displacement(self._model, optimizers)
        self.first = FirstBatch()
        self.kept = Kept()
        self._pictures: Tensor | None = None
        """Inputs of the first batch until its labels are known."""
        self._agreements: Tensor | None = None
        self._facts = DataFacts()

    def attach(self) -> None:
        """Register the hooks, on the children of a model that is a mere container."""
        is_container = isinstance(self._model, (nn.ModuleList, nn.ModuleDict))
        for root in self._model.children() if is_container else [self._model]:
            self._hook_on(root)
        for optimizer in self._optimizers:
            after = Hook(self._guard, DATA, lambda *given: self._end_step())
            self._handles.append(optimizer.register_step_post_hook(after))
        self._first_layers.attach()
        self._displacement.start()

    def follow_parts(self) -> None:
        """Watch the children of a model that the loop never calls itself."""
        if not isinstance(self._model, (nn.ModuleList, nn.ModuleDict)):
            for part in self._model.children():
                self._hook_on(part)

    def _hook_on(self, module: nn.Module) -> None:
        with suppress(RuntimeError):  # ScriptModule
            hook = Hook(self._guard, DATA, self._on_forward)
            self._handles.append(module.register_forward_hook(hook, with_kwargs=True))

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._first_layers.close()

    def examples(self, train: Examples, val: Examples | None) -> None:
        """Take the examples of ``before``."""
        self.kept.train = train.first(2 * _DESCRIBED).changed(_narrowed) if train.can_be_cut else None
        has_val = val is not None and val.can_be_cut
        pair = [each for each in tensors((train.inputs, train.labels)) if each.dim()]
        if len(pair) == 2 and pair[0].is_floating_point():
            self._agreements = agreements(*pair)
        self.kept.val = val.first(2 * _DESCRIBED).changed(_narrowed) if val and has_val else None

    def state(self) -> dict[str, Any]:
        """Return what ``load`` takes, between two steps: plain data with tensors."""
        kept, model = self.kept, self.first.model
        return {
            "is_first": self._is_first,
            "numbers": [getattr(self, name) for name in _NUMBERS],
            "validations": [vars(each) for each in self._validations],
            "first_epoch": self._first_epoch and vars(self._first_epoch),
            "first_layers": self._first_layers.state(),
            "displacement": self._displacement.state(),
            "first": self.first.state(),
            "first_model": next((name for name, each in self._model.named_modules() if each is model), ""),
            "batches": [vars(each) for each in kept.batches],
            "last": [vars(each) for each in kept.last],
            "examples": [each and [each.inputs, each.labels] for each in (kept.train, kept.val)],
            "validated": kept.validated,
            "agreements": self._agreements,
        }

    def load(self, state: dict[str, Any], facts: DataFacts | None) -> None:
        """Continue after another run of the same training, which knew these facts."""
        self._facts = facts or self._facts
        for name, number in zip(_NUMBERS, state["numbers"], strict=True):
            setattr(self, name, number)
        self._is_first = state["is_first"]
        self._validations = [ValidationPasses(**each) for each in state["validations"]]
        first_epoch = state["first_epoch"]
        self._first_epoch = first_epoch and batches.FirstEpoch(**first_epoch)
        if not self._is_first:
            self._first_layers.load(state["first_layers"])
        self._displacement.load(state["displacement"])
        self.first.load(self._model.get_submodule(state["first_model"]), state["first"])
        self.kept.batches = [Batch(**each) for each in state["batches"]]
        self.kept.last.extend(Batch(**each) for each in state["last"])
        self.kept.train, self.kept.val = (each and Examples(*each) for each in state["examples"])
        self.kept.validated = state["validated"]
        self._agreements = state.get("agreements")

    def reported(self, labels: object) -> None:
        """Take the labels of a step's batch, if they are known."""
        batch, self._open = self._open, None
        if batch is not None:
            given = next((each for each in tensors(labels) if each.dim() and is_readable(each)), None)
            if given is not None:
                some = columns(given.detach(), _ANSWERS) if given.dim() > 1 else given.detach()
                batch.labels, batch.label_rows = some.clone(), fingerprints([some])
                if self._pictures is not None and self._agreements is None:
                    self._agreements = agreements(self._pictures, given)
            self._keep(batch)
            self._pictures = None
        if not self._optimizers:
            self._passes.clear()
        self._taken = False

    def _keep(self, batch: Batch) -> None:
        """Keep the batch of a step that was reported; other passes with gradients belong to none."""
        if batch.rows is not None:
            self.kept.batches.append(batch if batch.is_fresh else replace(batch, outputs=None))
            self._rows += len(batch.rows)
        if batch.outputs is not None:
            self.kept.last.append(batch)

    def end_epoch(self, *, is_validated: bool) -> None:
        """Judge the passes since the last step, if the epoch has numbers of a validation."""
        self._epochs += 1
        passes, self._passes = self._passes, []
        unused = [each for each in passes if not each.is_used]
        if is_validated and unused:
            self._validations.append(
                ValidationPasses(
                    self._epochs,
                    len(unused),
                    sum(each.is_modal for each in unused),
                    sum(each.records for each in unused),
                )
            )
            if not self.kept.validated:
                self.kept.validated = [each.rows for each in unused if each.rows is not None]
        self._taken, self._open = False, None

    def read(self, *, ended: bool) -> DataFacts:
        """Return the facts so far; dependence is measured at the end."""
        facts = self._facts
        facts.validations += self._validations
        self._validations = []
        facts.inputs = facts.inputs or self._first_layers.read()
        facts.hidden = facts.hidden or self._first_layers.read_hidden()
        if ended or self._epochs & (self._epochs - 1) == 0:  # after epochs 1, 2, 4, 8 ...
            self._first_epoch = self._first_epoch or batches.first_epoch(self.kept)
            facts.batches = batches.compared(self.kept, self._first_epoch)
        if ended:
            facts.overlap = batches.overlap(self.kept)
            facts.dependence = replace(signal.dependence_of(self.kept), moved=self._displacement.read())
            facts.answers = answers.found(self.kept, self.first)
            if self._agreements is not None:
                facts.agreements = tuple(self._agreements.tolist())
        return facts

    def _end_step(self) -> None:
        self._passes.clear()
        self._taken = False

    def _on_forward(
        self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        if self._ignoring():
            return
        found = outputs(output)
        learnable = [each for each in found if each.requires_grad]
        if self._is_first:
            self._is_first = False
            self._first_layers.close((inputs, named))
        if len(self._passes) < _MOST_PASSES:
            self._watch(model, learnable, (inputs, named))
        if learnable and not self._taken:
            self._taken = True
            self._take(model, inputs, named, found)

    def _watch(self, model: nn.Module, learnable: list[Tensor], inputs: object) -> None:
        """Remember a pass until the next step shows that it belongs to it."""
        current = _Pass(model.training and any(each.training for each in self._modal), bool(learnable))
        self._passes.append(current)
        for each in learnable:
            each.register_hook(lambda gradient: _mark(current))
        if not learnable and not self.kept.validated and self._epochs == 0 and self._rows < 2 * _ROWS:
            batch = batch_tensors(inputs)
            current.rows = fingerprints(batch) if batch and not current.is_modal else None

    def _take(
        self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], found: list[Tensor]
    ) -> None:
        number, self._steps = self._steps, self._steps + 1
        is_compared = number < _STEPS and self._rows < _ROWS
        if not is_compared and number % _RARELY:
            return
        given = (inputs, _without_labels(named))
        rows = batch_tensors(given)
        key = fingerprints(rows or [as_one(given)]) if is_compared else None
        batch = self._open = Batch(key, number=number, is_fresh=self._epochs == 0)
        batch.is_plain = len(rows) == 1 and rows[0].is_floating_point()
        if rows and self._described < _DESCRIBED:
            batch.inputs = described(rows)[: _DESCRIBED - self._described]
            self._described += len(rows[0])
        is_chosen = (batch.is_fresh and self._of_outputs < _FIRST) or number % _EVERY == 0
        outs = batch_tensors(found)
        if is_chosen and outs:
            narrow = [columns(each, _OUTPUTS) for each in outs[:_SEVERAL]]
            batch.outputs, batch.width = described(narrow).clone(), narrow[0].shape[1]
            self._of_outputs += 1
        if number == 0:
            self._pictures = rows[0] if len(rows) == 1 and rows[0].is_floating_point() else None
            self.first.take(model, inputs, _without_labels(named), found[0] if found else None)


def _narrowed(tensor: Tensor) -> Tensor:
    """Return a copy of those columns of large examples that are compared."""
    narrow = columns(tensor)
    return (narrow if narrow.numel() < tensor.numel() else tensor).clone()


def _mark(current: _Pass) -> None:
    current.is_used = True


def _without_labels(named: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in named.items() if name not in _LABELS}


def _is_modal(module: nn.Module) -> bool:
    """Whether training mode changes what a layer computes."""
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return bool(module.track_running_stats)
    if isinstance(module, (_DROPOUT, nn.RReLU)):
        return not isinstance(module, _DROPOUT) or module.p > 0
    return isinstance(module, nn.RNNBase) and module.dropout > 0
