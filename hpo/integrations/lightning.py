"""Callbacks of Lightning's ``Trainer`` (the extra ``hpo-babysitter[lightning]``).

``Trainer(..., callbacks=[BabysitterCallback()])``, and in a trial ``TrialCallback(trial)``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Unpack

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hpo.checks.babysitter import Babysitter
from hpo.checks.guard import Guard, Hook
from hpo.checks.verdict import Verdict
from hpo.errors import UserError
from hpo.integrations.feed import Feed, Options, check_options
from hpo.records import Finding

if TYPE_CHECKING:
    import hpo

_SHARE = 0.5
"""A part of the module with less of the trained weights is not the network that training_step runs."""


class BabysitterCallback(Callback):
    """Watches a training of Lightning's ``Trainer``, and writes the verdict to standard error at its end.

    It watches what ``training_step`` calls: the module itself (``self(x)``) or the part of it with most
    weights (``self.net(x)``). Losses are what ``training_step`` returns. With ``stop`` a hopeless training
    ends early. Other options are those of ``hpo.Babysitter``; raises ``UserError`` for an impossible one.
    """

    def __init__(self, *, stop: bool = False, **options: Unpack[Options]) -> None:
        check_options(options)
        self._stop = stop
        self._options = options
        self._feed: Feed | None = None
        self._batch: Any = None
        self._losses: list[Tensor] = []
        self._steps = 0
        self._listeners: list[RemovableHandle] = []
        self._early: list[Finding] = []
        self._guard = Guard(self._early.append)

    @property
    def babysitter(self) -> Babysitter:
        """The babysitter with everything it has seen. Raises ``UserError`` before training."""
        return self._known().babysitter

    def verdict(self) -> Verdict:
        """Return the verdict on what was seen so far. Raises ``UserError`` before training."""
        return self.babysitter.verdict()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for the network that the first step calls."""
        self._feed, self._steps = None, trainer.global_step

        def choose(part: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            if self._feed is None and trainer.training and torch.is_grad_enabled():
                self._begin(trainer, part).on_inputs(part, given, named)

        for part in _candidates(pl_module):
            hook = Hook(self._guard, "search for the network", choose)
            self._listeners.append(part.register_forward_pre_hook(hook, with_kwargs=True))

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Take the batch."""
        self._batch = batch
        if self._feed is not None:
            self._feed.batch(batch)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Read the graph of a loss."""
        if self._feed is not None:
            self._feed.babysitter.look_at(loss)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the loss; of several batches in one step, the mean.

        Lightning has divided it by their number, unless the module steps by itself.
        """
        feed = self._feed or self._begin(trainer, pl_module)
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor):
            parts = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
            self._losses.append(loss.detach().float().mean() * parts)
        if trainer.global_step == self._steps or not self._losses:
            return
        self._steps = trainer.global_step
        with torch.enable_grad():
            feed.loss(torch.stack(self._losses).mean())
        self._losses = []
        feed.end_batch()
        trainer.should_stop |= self._stop and feed.fatal is not None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a validation."""
        if self._feed is not None:
            self._feed.begin_validation()

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Take the batch."""
        if self._feed is not None and not trainer.sanity_checking:
            self._feed.validation_batch(batch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the numbers of the epoch; a loss of the validation is one that was logged as such."""
        if self._feed is not None:
            self._feed.validation(loss=_logged_loss(trainer))
            self._feed.end_epoch()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the verdict."""
        if self._feed is not None:
            text = f"hpo: {self._feed.finish()}\n"
            if trainer.is_global_zero:
                sys.stderr.write(text)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remove the hooks, after an exception too."""
        self._stop_listening()
        if self._feed is not None:
            self._feed.close()

    def _begin(self, trainer: Trainer, model: nn.Module) -> Feed:
        self._stop_listening()
        epochs, steps = _length(trainer)
        self._feed = Feed(model, trainer.optimizers, epochs=epochs, steps_per_epoch=steps, **self._options)
        self._feed.babysitter.findings += self._early
        self._feed.batch(self._batch)
        return self._feed

    def _stop_listening(self) -> None:
        for each in self._listeners:
            each.remove()
        self._listeners = []

    def _known(self) -> Feed:
        if self._feed is None:
            raise UserError("BabysitterCallback: no training has begun yet. Call trainer.fit first.")
        return self._feed


class TrialCallback(BabysitterCallback):
    """Makes a training of Lightning's ``Trainer`` a trial: watched, reported, saved and resumed.

    ``Trainer(..., callbacks=[TrialCallback(trial)])``. After each epoch it reports the metrics that the
    module has logged, and the losses and accuracies that it has seen. The trial's budget is the trainer's
    ``max_epochs``. Module, optimizers, schedulers, the precision's scaler and states of other callbacks are
    kept with the trial; what ``on_save_checkpoint`` adds is not. Options are those of ``hpo.Babysitter``.
    """

    def __init__(self, trial: hpo.Trial, **options: Unpack[Options]) -> None:
        options.setdefault("checks", trial.thresholds)
        super().__init__(**options)
        self._trial = trial
        self._epochs: Iterator[int] = iter(())
        self._done = {"epochs": 0, "batches_that_stepped": 0}
        self._metrics: dict[str, float] | None = None
        """Those of an epoch that is not reported yet."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the trainer the trial's budget."""
        if self._trial.budget is not None:
            trainer.fit_loop.max_epochs = self._trial.budget

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the training's states with the trial, continue where it was, and begin to watch."""
        super().on_train_start(trainer, pl_module)
        self._trial.keep(progress=self._done, **_states(trainer, pl_module))
        _set_progress(trainer, **self._done)
        limit = trainer.max_epochs
        self._epochs = self._trial.epochs(limit if limit is not None and limit > 0 else None)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch before, and seed this one."""
        self._report(trainer)
        next(self._epochs)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the loss, and stop if the trial has to."""
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        self._trial.step()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the numbers of the epoch. Lightning updates schedulers after this: it is reported later."""
        feed = self._known()
        feed.validation(loss=_logged_loss(trainer))
        logged = trainer.callback_metrics.items()
        self._metrics = feed.measured() | {name: float(value) for name, value in logged if value.numel() == 1}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last epoch, and write the verdict."""
        self._report(trainer)
        super().on_train_end(trainer, pl_module)

    def _begin(self, trainer: Trainer, model: nn.Module) -> Feed:
        feed = super()._begin(trainer, model)
        self._trial.follow(feed, "return the loss from training_step")
        return feed

    def _report(self, trainer: Trainer) -> None:
        metrics, self._metrics = self._metrics, None
        if metrics is None:
            return
        self._done["epochs"] += 1
        self._done["batches_that_stepped"] = trainer.fit_loop.epoch_loop._batches_that_stepped
        self._trial.report(None, **metrics)
        self._trial.end_epoch()  # also one without validation


def _states(trainer: Trainer, module: LightningModule) -> dict[str, Any]:
    """Return by name what a training's state is in, beside the loop's progress."""
    loop = trainer.fit_loop.epoch_loop
    schedulers = [each.scheduler for each in trainer.lr_scheduler_configs]
    callbacks = [each for each in trainer.callbacks if type(each).state_dict is not Callback.state_dict]
    return {
        "module": module,
        "precision": trainer.precision_plugin,
        **{f"optimizer{number}": each for number, each in enumerate(trainer.optimizers)},
        **{f"scheduler{number}": each for number, each in enumerate(schedulers)},
        **{f"callback {each.state_key}": each for each in callbacks},
        "optimizer_steps": loop.automatic_optimization.optim_progress,
        "manual_steps": loop.manual_optimization.optim_step_progress,
        "batches": loop.batch_progress,
    }


def _set_progress(trainer: Trainer, epochs: int, batches_that_stepped: int) -> None:
    """Have the loop continue after these epochs.

    Not by a checkpoint of Lightning's: one of an epoch's end lacks the step of the schedulers.
    """
    progress = trainer.fit_loop.epoch_progress
    for each in (progress.total, progress.current):
        each.ready = each.started = each.processed = each.completed = epochs
    trainer.fit_loop.epoch_loop._batches_that_stepped = batches_that_stepped


def _candidates(module: nn.Module) -> list[nn.Module]:
    """Return the module and its parts with most of the trained weights, each before its own parts."""
    total = _weights(module)
    return [each for each in module.modules() if each is module or _weights(each) >= _SHARE * total > 0]


def _weights(module: nn.Module) -> int:
    trained = (each for each in module.parameters() if each.requires_grad)
    return sum(each.numel() for each in trained if not nn.parameter.is_lazy(each))


def _length(trainer: Trainer) -> tuple[int | None, int | None]:
    """Return epochs and steps of the optimizer per epoch, as far as they are known."""
    batches = trainer.num_training_batches
    if not math.isfinite(batches) or batches < 1:
        return None, None
    steps = math.ceil(batches / trainer.accumulate_grad_batches)
    epochs = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > 0 else None
    if trainer.max_steps > 0:
        limit = math.ceil(trainer.max_steps / steps)
        epochs = limit if epochs is None else min(limit, epochs)
    return epochs, steps


def _logged_loss(trainer: Trainer) -> float:
    """Return the loss that validation_step has logged; NaN if there is none."""
    names = [name for name in trainer.callback_metrics if "val" in name and "loss" in name]
    return float(trainer.callback_metrics[min(names, key=len)]) if names else math.nan
