"""Watches the data of a loop: the batches that its model gets, their labels, and its validation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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
from hpo.checks.measure.hooks import LoopHooks
from hpo.checks.measure.kept_batches import Batch, Kept
from hpo.checks.measure.looks import Looks, is_one_of
from hpo.checks.measure.nested import is_readable, outputs, tensors
from hpo.checks.measure.rows import as_one, batch_tensors, columns, described, fingerprints
from hpo.checks.measure.untouched import is_modal

DATA = "record of the data"
"""What the guard calls it."""
_STEPS = 400
"""Steps whose batches are compared."""
_ROWS = 20_000
_DESCRIBED = 480
"""Examples that are kept, to compare inputs with labels."""
_FIRST = 40
"""Batches of the first epoch whose outputs are compared with labels."""
_EVERY = 4
"""Of the steps after the first epoch, every fourth is compared with its labels."""
_OUTPUTS, _ANSWERS = 128, 64
"""Columns of outputs and of labels that are kept."""
_SEVERAL = 3
"""Outputs of a model that are kept."""
_MOST_PASSES = 2000
_LABELS = ("labels", "label", "targets", "target")
"""Names of arguments that are not inputs."""
_MANY = 1000
"""Modules."""
_NUMBERS = ("_steps", "_rows", "_described", "_of_outputs")
"""Attributes of the monitor."""


@dataclass
class _Pass:
    """A forward pass after a step."""

    is_modal: bool
    records: bool
    """Whether gradients can be computed from it."""
    is_used: bool = False
    rows: Tensor | None = None


class DataMonitor:
    """Watches the first batches of a loop and what follows the last step of each epoch.

    There are no hooks on the model between the steps that are looked at; the other ``hooks`` are told so.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[Optimizer],
        guard: Guard,
        hooks: LoopHooks,
        looks: Looks,
    ) -> None:
        self._model = model
        self._optimizers = optimizers
        self._guard = guard
        self._hooks = hooks
        self._rest = 0
        """Reports until passes are looked at again."""
        self._looks = looks
        self._first_layers = FirstLayers(model, guard, DATA, lambda: hooks.is_paused)
        self._modal = [each for each in model.modules() if is_modal(each)]
        self._is_first = True
        self._handles: list[RemovableHandle] = []
        self._followed: list[nn.Module] = []
        """Parts of the model that the loop calls in its place."""
        self._starting: list[RemovableHandle] = []
        """Hooks that run before the first pass."""
        self._passes: list[_Pass] = []
        self._taken = False
        """Whether the present step has a batch already."""
        self._open: Batch | None = None
        self._steps = 0
        self._rows = self._described = self._of_outputs = 0
        self._validations: list[ValidationPasses] = []
        self._compared = 0
        """Batches when they were last compared."""
        self._first_epoch: batches.FirstEpoch | None = None
        self._displacement = Displacement(self._model, optimizers)
        self.first = FirstBatch()
        self.kept = Kept()
        self._pictures: Tensor | None = None
        """Inputs of the first batch until its labels are known."""
        self._agreements: Tensor | None = None
        self._facts = DataFacts()

    def attach(self) -> None:
        """Start."""
        self._hook()
        if sum(1 for _ in self._model.modules()) > _MANY:
            for root in self._roots():
                hook = Hook(self._guard, DATA, lambda *given: self._on_start())
                self._starting.append(root.register_forward_pre_hook(hook))
        else:
            self._first_layers.attach()
        self._displacement.start()

    def _roots(self) -> list[nn.Module]:
        """Return the model, or the children of one that is a mere container."""
        is_container = isinstance(self._model, (nn.ModuleList, nn.ModuleDict))
        return list(self._model.children()) if is_container else [self._model]

    def _on_start(self) -> None:
        """Watch many layers in the first pass of the loop only, not in those of measurements."""
        if not self._hooks.is_paused and self._is_first:
            self._remove(self._starting)
            self._first_layers.attach()

    def _hook(self) -> None:
        for root in (*self._roots(), *self._followed):
            self._hook_on(root)
        for optimizer in self._optimizers:
            after = Hook(self._guard, DATA, lambda *given: self._end_step())
            self._handles.append(optimizer.register_step_post_hook(after))

    def follow_parts(self) -> None:
        """Watch the children of a model that the loop never calls itself."""
        if not isinstance(self._model, (nn.ModuleList, nn.ModuleDict)):
            self._followed = list(self._model.children())
            for part in self._followed:
                self._hook_on(part)

    def _hook_on(self, module: nn.Module) -> None:
        with suppress(RuntimeError):  # ScriptModule
            hook = Hook(self._guard, DATA, self._on_forward)
            self._handles.append(module.register_forward_hook(hook, with_kwargs=True))

    def close(self) -> None:
        """Remove the hooks."""
        self._remove(self._handles)
        self._remove(self._starting)
        self._rest = 0
        self._first_layers.close()

    @staticmethod
    def _remove(handles: list[RemovableHandle]) -> None:
        for handle in handles:
            handle.remove()
        handles.clear()

    def rests(self) -> bool:
        """Whether nothing was looked at in the step that is reported; count it, and look again when due."""
        if not self._rest:
            return False
        self._rest -= 1
        self._steps += 1
        self._looks.count()
        if not self._rest:
            self._guard.run(DATA, self._wake, None)
        return True

    def _wake(self) -> None:
        self._rest = 0
        self._hook()
        self._hooks.listen(True)

    def _settle(self) -> None:
        """Rest until the next step that is looked at; compiled models, whose hooks never run, keep them."""
        has_begun = bool(self._handles) and not self._is_first
        can_rest = has_begun and not self._is_comparing
        self._rest = self._looks.until_next(self._steps) if can_rest else 0
        if self._rest:
            self._remove(self._handles)
            self._passes.clear()
            self._hooks.listen(False)

    @property
    def _is_comparing(self) -> bool:
        return self._steps < _STEPS and self._rows < _ROWS

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
            "looks": vars(self._looks),
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
        self._is_first, self._looks = state["is_first"], Looks(**state["looks"])
        self._validations = [ValidationPasses(**each) for each in state["validations"]]
        first_epoch = state["first_epoch"]
        self._first_epoch = first_epoch and batches.FirstEpoch(**first_epoch)
        if not self._is_first:
            self._remove(self._starting)
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
        self._looks.count()
        batch, self._open = self._open, None
        if batch is not None:
            given = next((each for each in tensors(labels) if each.dim() and is_readable(each)), None)
            if given is not None:
                some = columns(given.detach(), _ANSWERS) if given.dim() > 1 else given.detach()
                batch.labels = some.clone()
                batch.label_rows = fingerprints([some]) if batch.rows is not None else None
                if self._pictures is not None and self._agreements is None:
                    self._agreements = agreements(self._pictures, given)
            self._keep(batch)
            self._pictures = None
        if not self._optimizers:
            self._passes.clear()
        self._taken = False
        self._settle()

    def _keep(self, batch: Batch) -> None:
        """Keep the batch of a step that was reported; other passes with gradients belong to none."""
        if batch.rows is not None:
            self.kept.batches.append(batch if batch.is_fresh else replace(batch, outputs=None))
            self._rows += len(batch.rows)
        if batch.outputs is not None:
            self.kept.last.append(batch)

    def end_epoch(self, *, is_validated: bool) -> None:
        """Judge the passes since the last step, if the epoch has numbers of a validation."""
        self._looks.end_epoch()
        passes, self._passes = self._passes, []
        unused = [each for each in passes if not each.is_used]
        if is_validated and unused:
            self._validations.append(
                ValidationPasses(
                    self._looks.epochs,
                    len(unused),
                    sum(each.is_modal for each in unused),
                    sum(each.records for each in unused),
                )
            )
            if not self.kept.validated:
                self.kept.validated = [each.rows for each in unused if each.rows is not None]
        self._taken, self._open = False, None
        if self._rest:  # the epoch was shorter than the one before
            self._wake()
        self._settle()

    def read(self, *, ended: bool) -> DataFacts:
        """Return the facts so far; dependence is measured at the end."""
        facts = self._facts
        facts.validations += self._validations
        self._validations = []
        facts.inputs = facts.inputs or self._first_layers.read()
        facts.hidden = facts.hidden or self._first_layers.read_hidden()
        if ended or self._looks.epochs & (self._looks.epochs - 1) == 0:  # after epochs 1, 2, 4, 8 ...
            self._first_epoch = self._first_epoch or batches.first_epoch(self.kept)
            if self._compared != len(self.kept.batches):
                self._compared = len(self.kept.batches)
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
        if self._hooks.is_paused:
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
        if not learnable and not self.kept.validated and self._looks.epochs == 0 and self._rows < 2 * _ROWS:
            batch = batch_tensors(inputs)
            current.rows = fingerprints(batch) if batch and not current.is_modal else None

    def _compare(self, batch: Batch, given: object) -> None:
        rows = batch_tensors(given)
        batch.rows = fingerprints(rows or [as_one(given)])
        batch.is_plain = len(rows) == 1 and rows[0].is_floating_point()
        if batch.number == 0:
            self._pictures = rows[0] if batch.is_plain else None
        if rows and self._described < _DESCRIBED:
            batch.inputs = described(rows)[: _DESCRIBED - self._described]
            self._described += len(rows[0])

    def _take(
        self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], found: list[Tensor]
    ) -> None:
        number, self._steps = self._steps, self._steps + 1
        is_compared = number < _STEPS and self._rows < _ROWS
        if not is_compared and not self._looks.is_due(number):
            return
        batch = self._open = Batch(number=number, is_fresh=self._looks.epochs == 0)
        if is_compared:
            self._compare(batch, (inputs, _without_labels(named)))
        is_chosen = (
            (batch.is_fresh and self._of_outputs < _FIRST) or not is_compared or is_one_of(_EVERY, number)
        )
        outs = batch_tensors(found)
        if is_chosen and outs:
            narrow = [columns(each, _OUTPUTS) for each in outs[:_SEVERAL]]
            batch.outputs, batch.width = described(narrow).clone(), narrow[0].shape[1]
            self._of_outputs += 1
        if number == 0:
            self.first.take(model, inputs, _without_labels(named), found[0] if found else None)


def _narrowed(tensor: Tensor) -> Tensor:
    """Return a copy of those columns of large examples that are compared."""
    narrow = columns(tensor)
    return (narrow if narrow.numel() < tensor.numel() else tensor).clone()


def _mark(current: _Pass) -> None:
    current.is_used = True


def _without_labels(named: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in named.items() if name not in _LABELS}
