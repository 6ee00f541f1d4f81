"""A babysitter watches a training loop that it does not own, and reports what is wrong, why, and a remedy.

It measures (``seen``) and reports; it never stops anything itself. Source of the idea: CS231n lecture 6,
"babysitting the learning process".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo.checks.accuracies import add_epoch
from hpo.checks.arguments import check_count, check_model, check_task, optimizers_of, scalar_loss
from hpo.checks.causes import NOT_ENOUGH, OUTCOMES
from hpo.checks.evidence import coverage
from hpo.checks.facts import Fact, facts
from hpo.checks.guard import Guard
from hpo.checks.judge import Judge, steps_to_round
from hpo.checks.measure.data import DATA, DataMonitor
from hpo.checks.measure.examples import (
    Examples,
    Forward,
    as_loop,
    check_examples,
    examples_of,
    plain_forward,
)
from hpo.checks.measure.hooks import LoopHooks
from hpo.checks.measure.kept_state import restored, stored
from hpo.checks.measure.left_out import LeftOut
from hpo.checks.measure.looks import Looks
from hpo.checks.measure.preflight import FEWEST_EXAMPLES, SNAPSHOT_IMAGES, LossFunction, examine
from hpo.checks.measure.probes import Probe
from hpo.checks.measure.setup import read_setup, stated_penalty, stated_setup
from hpo.checks.measure.steps import STEPS, StepRecord
from hpo.checks.measure.tensors import describe_examples
from hpo.checks.measure.untouched import unwrapped
from hpo.checks.notes import resumed_in_part, too_few_examples
from hpo.checks.observations import EpochFacts, Observations, Task
from hpo.checks.plain_words import Vocabulary, in_words
from hpo.checks.preflight import Snapshot
from hpo.checks.state import BabysitterState
from hpo.checks.verdict import Verdict, verdict
from hpo.config.thresholds import Preset, Thresholds, thresholds_of
from hpo.records import Finding

_LONGEST_ERROR = 300
"""Characters of an error's text."""
_LEFT_OUT = "watch over parameters that are left out"
_MEMORIZING = 2.0
"""Seconds of processor time that a loop's own network may take to memorize a few examples."""
_PASS_FORWARD = "if the loop does not run the model as model(inputs), pass forward to the babysitter; "
_KEPT, _NO_VERDICT = "saved measurements", "the verdict failed (see the notes)"


class Babysitter:
    """Watches one training of ``model`` by ``optimizer``: one, several, or None if the loop updates by hand.

    ``task`` is what is learned and ``classes`` their number; without them both are inferred from what is
    seen, and checks that need to know more are skipped. ``epochs`` and ``steps_per_epoch`` let it judge what
    can still be reached; ``loss_function(logits, labels)`` is tested on outputs whose loss is known;
    ``forward(model, inputs)`` is how the loop runs the model, if not as ``model(inputs)``, ``model(*inputs)``
    or ``model(**inputs)``; ``configuration`` (fields of ``Configuration``) makes remedies concrete. The class
    counts (C,) of all training and validation images say what guessing reaches; without them the examples of
    ``before`` do. Findings name classes by ``class_names``, if given. ``checks`` is a preset or
    ``Thresholds``. A complete loop is in docs/checks.md. Raises ``UserError`` for an impossible argument; its
    own errors never reach the loop: each is one note.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        classes: int | None = None,
        task: Task | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        loss_function: LossFunction | None = None,
        forward: Forward | None = None,
        configuration: Mapping[str, Any] | None = None,
        train_class_counts: Sequence[int] = (),
        val_class_counts: Sequence[int] = (),
        class_names: Sequence[str] = (),
        checks: Preset | Thresholds = "standard",
    ) -> None:
        check_model(model)
        check_task(task)
        for name, value in (("classes", classes), ("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
            check_count(name, value)
        self._model = unwrapped(model)
        self._optimizers = optimizers_of(optimizer)
        self._loss_function = loss_function
        self._forward = plain_forward if forward is None else as_loop(forward)
        self._guard = Guard(self._note)
        self._limits = thresholds_of(checks)
        self._judge = Judge(self._limits, self._guard)
        self.findings: list[Finding] = []
        """All findings so far, in order."""
        self.vocabulary = None if configuration else Vocabulary()
        stated = stated_setup(
            classes=classes or 0,
            task=task,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            settings=configuration or {},
            train_class_counts=train_class_counts,
            val_class_counts=val_class_counts,
            class_names=class_names,
        )
        self.seen = Observations(stated)
        """Every number that the checks read; ``hpo.checks.judge.replay`` judges them again."""
        self.seen.reduction = str(getattr(loss_function, "reduction", ""))
        read = lambda: read_setup(stated, self._model, self._optimizers)  # noqa: E731
        self.seen.setup = self._guard.run("description of model and optimizer", read, stated)
        self.examples: Examples | None = None
        """Those on which layers are watched; ``load_state_dict`` takes them."""
        self._is_own_loop = self._limits.watch and Fact.OWN_LOOP in facts(self.seen)
        self._steps = StepRecord()
        self._left_out = self._guard.run(
            _LEFT_OUT, lambda: LeftOut(model, self._optimizers) if self._is_own_loop else None, None
        )
        self._hooks = LoopHooks(
            model, self._optimizers, self.seen, self._limits.preset, self._guard, updates=self._is_own_loop
        )
        looks = Looks(steps_per_epoch or 0, self.seen.setup.total_steps or 0)
        self._data = DataMonitor(self._model, self._optimizers, self._guard, self._hooks, looks)
        self._hooks.look_before_steps(self._look_left_out, self._data.follow_parts)
        if self._limits.watch:
            self._guard.run("hooks", self._hooks.attach, None)
        if self._is_own_loop:
            self._guard.run(DATA, self._data.attach, None)

    def __enter__(self) -> Babysitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.interrupted(error)
        self.close()

    def interrupted(self, error: Exception) -> None:
        """Take the exception that ended the loop, for the verdict. ``with`` does so."""
        text = " ".join(str(error).split())
        self.seen.error = self.seen.error or f"{type(error).__name__}: {text}"[:_LONGEST_ERROR]
        self.after()

    def close(self) -> None:
        """Remove the hooks from the model and the optimizer."""
        self._hooks.close()
        self._data.close()

    def before(
        self,
        images: Any,
        labels: Any = None,
        val_images: Any = None,
        val_labels: Any = None,
        *,
        penalty: float | None = None,
    ) -> list[Finding]:
        """Run the checks before training; the model and the random generators stay as they are.

        ``images`` and ``labels`` are a few dozen to hundreds of training examples as the loop has them:
        images (n, C, H, W), features (n, F), tokens (n, T) or what else the model takes, several in a tuple
        or dict; class labels (n,) or any other targets. Without ``labels``, ``images`` is a batch of the
        loader with both. ``val_*`` are the same for validation; ``penalty`` is what regularization adds to
        the loss, if known. With fewer than two training examples nothing is measured but a note returned.
        Raises ``UserError`` if there is no tensor.
        """
        if not self._limits.watch:
            return []
        train = examples_of(images, labels)
        check_examples(train)
        val = None if val_images is None else examples_of(val_images, val_labels)
        if train.count < FEWEST_EXAMPLES:
            return self._add([too_few_examples(train.count)])
        self._guard.run("shapes of the examples", lambda: describe_examples(train, self.seen), None)
        if self._is_own_loop:
            self._guard.run(DATA, lambda: self._data.examples(train, val), None)
        start = len(self.findings)
        measure = lambda: self._examine(train, val, penalty)  # noqa: E731
        self._guard.run("measurements before training", measure, None, _PASS_FORWARD)
        if self.seen.preflight is not None:
            self._guard.run("choice of the probe batch", lambda: self._watch_layers_on(train), None)
            self._add(self._judge.before(self.seen))
        return self.findings[start:]

    def _examine(self, train: Examples, val: Examples | None, added: float | None) -> None:
        with self._hooks.paused():
            self.seen.preflight = examine(
                self._model,
                self._optimizers[0] if len(self._optimizers) == 1 else None,
                train,
                val if val is not None and val.count else None,
                classes=self.seen.setup.classes,
                forward=self._forward,
                loss_function=self._loss_function,
                penalty=stated_penalty(self._model, self.seen.setup) if added is None else added,
                thorough=self._limits.thorough,
                guard=self._guard,
                seconds=_MEMORIZING if self._is_own_loop else math.inf,
            )

    def state_dict(self) -> BabysitterState:
        """Return the state from which another babysitter continues; for a loop that reports by ``steps``."""
        self._guard.run(STEPS, lambda: self._collect([]), None)
        judge = self._judge
        return BabysitterState(
            seen=self.seen,
            findings=self.findings,
            reported=judge.reported,
            forward_monitor=self._hooks.state(),
            waiting=tuple(map(float, self._steps.losses)),
            missing={check: sorted(each.name for each in lacks) for check, lacks in judge.missing.items()},
            kept=self._guard.run(_KEPT, self._kept, None),
        )

    def _kept(self) -> dict[str, Any] | None:
        if not self._is_own_loop or self.seen.is_partial or any(map(self._guard.is_off, (DATA, _LEFT_OUT))):
            return None
        left_out = self._left_out and self._left_out.state()
        parts = {"hooks": self._hooks.kept(), "data": self._data.state(), "left_out": left_out}
        return stored(parts)

    def load_state_dict(self, state: BabysitterState, images: Any, labels: Any = None) -> None:
        """Continue from ``state`` with the same examples, if any; called in place of ``before``."""
        if not self._limits.watch:
            return
        self.seen, self.findings = state.seen, state.findings
        self._steps.losses = [torch.tensor(loss, dtype=torch.float64) for loss in state.waiting]
        self._judge.resume(state)
        self._hooks.resume(state.seen, state.forward_monitor)
        if self._is_own_loop:
            self._resume(state.kept)
        examples = None if images is None else examples_of(images, labels)
        if examples is not None and examples.count >= FEWEST_EXAMPLES:
            self._watch_layers_on(examples)

    def _resume(self, kept: dict[str, Any] | None) -> None:
        """Take what the measuring has kept; without it, leave out what needs the start of the training."""
        has_begun = bool(self.seen.steps or self.seen.optimizer_steps)
        is_whole = not has_begun if kept is None else self._guard.run(_KEPT, lambda: self._load(kept), False)
        if not is_whole and not self.seen.is_partial:
            self.seen.is_partial = True
            self._note(resumed_in_part())
        if self.seen.is_partial:
            self._data.close()
            self._guard.switch_off(DATA)
            self._left_out = None

    def _load(self, kept: dict[str, Any]) -> bool:
        parts = restored(kept, self.device)
        self._hooks.load(parts["hooks"])
        self._data.load(parts["data"], self.seen.data)
        if self._left_out is not None and parts["left_out"] is not None:
            self._left_out.load(parts["left_out"])
        return True

    def step(self, loss: Tensor | float, labels: Any = None) -> Finding | None:
        """Take the loss () of a step; return a fatal finding if the training is hopeless.

        Class labels (B,) or (B, 1) of the batch, if given, are checked for their composition; all others are
        taken for what they are. Synchronizes with the device only for a round of checks. Raises
        ``UserError`` if ``loss`` is not a number.
        """
        if not self._limits.watch:
            return None
        self._steps.losses.append(scalar_loss(loss))
        has_data = self._is_own_loop and not self._data.rests()
        if has_data or not self._hooks.is_calm:
            self._look_at_step(loss, labels, has_data)
        if len(self._steps.losses) < steps_to_round(self.seen.steps):
            return None
        return self._judged(self._steps.take())

    def _look_at_step(self, loss: Tensor | float, labels: Any, has_data: bool) -> None:
        self.look_at(loss)
        self._hooks.report(self._steps.losses[-1], labels, loss)
        if has_data:
            self._guard.run(DATA, lambda: self._data.reported(labels), None)
        self._guard.run("labels of batches", lambda: self._steps.look(labels, self.seen), None)
        self._look_left_out()

    def look_at(self, loss: object) -> None:
        """Read how ``loss`` was computed, if autograd recorded it. ``step`` does so, too."""
        if self._limits.watch:
            self._hooks.look_at(loss)

    def steps(self, losses: Tensor) -> Finding | None:
        """Take the losses (k,) of k steps at once; otherwise like ``step``."""
        return self._judged([*losses.detach().flatten()]) if self._limits.watch else None

    def epoch(
        self,
        *,
        train_loss: float = math.nan,
        train_accuracy: float = math.nan,
        val_loss: float = math.nan,
        val_accuracy: float = math.nan,
        val_images: int | None = None,
        val_predicted_counts: Sequence[int] = (),
        val_balanced_accuracy: float = math.nan,
    ) -> Finding | None:
        """Take the numbers of a finished epoch (losses in nats, accuracies in [0, 1]); else like ``step``.

        Accuracies in percent are read as such; a note says so. ``val_predicted_counts`` (C,) is how many are
        predicted as each class in validation, ``val_balanced_accuracy`` the mean recall of the classes.
        """
        if not self._limits.watch:
            return None
        self._guard.run(STEPS, lambda: self._collect(self._steps.take()), None)
        number = len(self.seen.curve) + 1
        self.seen.val_images = val_images or self.seen.val_images
        counts = tuple(map(int, val_predicted_counts))
        measured = (train_loss, train_accuracy, val_loss, val_accuracy, counts, val_balanced_accuracy)
        self._add(add_epoch(self.seen, EpochFacts(number, self.seen.steps, *measured)))
        if self._is_own_loop:
            is_validated = math.isfinite(val_loss) or math.isfinite(val_accuracy)
            self._guard.run(DATA, lambda: self._data.end_epoch(is_validated=is_validated), None)
            self._read_data(ended=False)
        self._hooks.end_epoch(number)
        return self._fatal(self._add(self._judge.after_epoch(self.seen)))

    def _judged(self, losses: list[Tensor]) -> Finding | None:
        """Take losses () and run a round of checks."""
        self._guard.run(STEPS, lambda: self._collect(losses), None)
        return self._fatal(self._add(self._judge.during(self.seen)))

    def after(self) -> list[Finding]:
        """Judge the finished training, and remove the hooks."""
        self.seen.is_interrupted |= self._hooks.is_inside_a_step
        self.close()
        if not self._limits.watch:
            return []
        self._guard.run(STEPS, lambda: self._collect(self._steps.take()), None)
        if self._left_out is not None:
            left_out, self.seen.is_unchanged = self._left_out, False
            self._guard.run(_LEFT_OUT, lambda: left_out.read_into(self.seen), None)
        self._hooks.read_whole_motion()
        if self._is_own_loop:
            self._read_data(ended=True)
        self.seen.ended = True
        return self._add(self._judge.after(self.seen))

    def _read_data(self, *, ended: bool) -> None:
        with self._hooks.paused():
            data = self._guard.run(DATA, lambda: self._data.read(ended=ended), None)
        self.seen.data = data or self.seen.data

    def _look_left_out(self) -> None:
        if self._left_out is not None and self._left_out.is_looking:
            self._guard.run(_LEFT_OUT, self._left_out.look, None)

    def verdict(self) -> Verdict:
        """Return the verdict on what was seen so far."""
        failed = Verdict(NOT_ENOUGH, f"{OUTCOMES[NOT_ENOUGH]}: {_NO_VERDICT}", confidence=0.0)
        read = lambda: verdict(self.findings, coverage(self.seen, self.findings))  # noqa: E731
        return self._guard.run("verdict", read, failed)

    @property
    def device(self) -> torch.device:
        """Where the model's first parameter is."""
        return next((each.device for each in self._model.parameters()), torch.device("cpu"))

    @property
    def layers(self) -> Sequence[Snapshot]:
        """Layer statistics so far."""
        return self.seen.snapshots

    def _watch_layers_on(self, train: Examples) -> None:
        few = self.examples = train.first(SNAPSHOT_IMAGES).changed(torch.clone)  # its memory may be reused
        probe = Probe(self._model, self._forward, few.inputs, few.classes, self.seen.setup.classes)
        self._hooks.watch_layers(probe)

    def _collect(self, losses: list[Tensor]) -> None:
        """Move everything that has accumulated on the device to ``seen``."""
        self._steps.collect(losses, self.seen)
        self._hooks.collect()
        if self._left_out is not None and not self.seen.optimizer_steps:
            self.seen.is_unchanged = self._left_out.is_unchanged()

    def _note(self, finding: Finding) -> None:
        self.findings.append(replace(finding, step=self.seen.steps))

    def _add(self, findings: list[Finding]) -> list[Finding]:
        self.findings += (added := in_words(self.vocabulary, findings))
        return added

    @staticmethod
    def _fatal(findings: list[Finding]) -> Finding | None:
        return next((finding for finding in findings if finding.severity == "fatal"), None)
