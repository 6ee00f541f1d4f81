"""Callbacks of Hugging Face's ``Trainer`` (the extra ``hpo-babysitter[transformers]``).

``Trainer(..., callbacks=[BabysitterCallback()])``, and in a trial ``TrialCallback(trial)``.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hpo.checks.babysitter import Babysitter
from hpo.checks.guard import Guard, Hook
from hpo.checks.verdict import Verdict
from hpo.errors import UserError
from hpo.integrations.feed import Feed, Options, check_options
from hpo.integrations.saved_files import packed_files, unpacked_files
from hpo.records import Finding
from hpo.text import counted

if TYPE_CHECKING:
    import hpo

_LABELS = ("labels", "label")
_SAVED = "transformers"
_NOT_METRICS = ("_runtime", "_per_second", "_time")


class BabysitterCallback(TrainerCallback):
    """Watches a training of ``transformers.Trainer``, and writes the verdict to standard error at its end.

    Losses and labels are those of the model's own forward passes; where the trainer computes the loss
    outside of the model, they are what it logs. With ``stop`` a hopeless training ends early. Other options
    are those of ``hpo.Babysitter``; raises ``UserError`` for an impossible one.
    """

    def __init__(self, *, stop: bool = False, **options: Unpack[Options]) -> None:
        check_options(options)
        self._stop = stop
        self._options = options
        self._feed: Feed | None = None
        self._losses: list[Tensor] = []
        self._are_shares = False
        """Whether the losses of the batches of a step are its loss in sum, not in the mean."""
        self._has_losses = False
        self._is_validating = False
        self._handles: list[RemovableHandle] = []

    @property
    def babysitter(self) -> Babysitter:
        """The babysitter with everything it has seen. Raises ``UserError`` before training."""
        if self._feed is None:
            raise UserError("BabysitterCallback: no training has begun yet. Call trainer.train first.")
        return self._feed.babysitter

    def verdict(self) -> Verdict:
        """Return the verdict on what was seen so far. Raises ``UserError`` before training."""
        return self.babysitter.verdict()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Begin to watch."""
        if model is None:
            return
        self._close()
        guard = Guard(self._note)
        epochs = max(1, math.ceil(state.num_train_epochs))
        steps = math.ceil(state.max_steps / epochs) if state.max_steps > 0 else None
        # Before the feed's own hooks: it must know the labels of the pass.
        for hook, register in (
            (self._on_inputs, model.register_forward_pre_hook),
            (self._on_outputs, model.register_forward_hook),
        ):
            self._handles.append(register(Hook(guard, "reading of losses", hook), with_kwargs=True))
        self._feed = Feed(model, _optimizer(optimizer), epochs=epochs, steps_per_epoch=steps, **self._options)
        self._losses, self._has_losses, self._is_validating = [], False, False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the loss of the step."""
        losses, self._losses = self._losses, []
        if self._feed is None or not losses:
            return
        together = torch.stack([each.to(losses[0].device) for each in losses])
        self._report(together.sum() if self._are_shares else together.mean(), control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the logged loss if the model itself has none."""
        if self._feed is not None and not self._has_losses and logs and "loss" in logs:
            self._feed.batch(None)
            self._report(torch.tensor(float(logs["loss"])), control)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """End an evaluation."""
        self._is_validating = False
        if self._feed is not None and metrics and "eval_loss" in metrics:
            self._feed.validation(loss=float(metrics["eval_loss"]))

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the epoch before, now that it has been evaluated."""
        if self._feed is not None:
            self._feed.end_epoch()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the verdict."""
        if self._feed is not None:
            text = f"hpo: {self._feed.finish()}\n"
            self._close()
            if state.is_world_process_zero:
                sys.stderr.write(text)

    def _report(self, loss: Tensor, control: TrainerControl) -> None:
        feed = self._feed
        if feed is None:
            return
        feed.loss(loss)
        feed.end_batch()
        if self._stop and feed.fatal is not None:
            control.should_training_stop = True

    def _on_inputs(self, model: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Tell the labels; a pass without any is not the trainer's."""
        name = next((each for each in _LABELS if named.get(each) is not None), None)
        if self._feed is None or name is None:
            return
        batch = {"labels": named[name]}
        if torch.is_grad_enabled():
            # Losses of tokens are divided by the number of tokens of the whole step, others by their own.
            self._are_shares = named.get("num_items_in_batch") is not None and named[name].dim() > 1
            self._feed.batch(batch)
            return
        if not self._is_validating:
            self._is_validating = True
            self._feed.begin_validation()
        self._feed.validation_batch(batch)

    def _on_outputs(
        self, model: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any
    ) -> None:
        """Take the loss that the model has computed."""
        loss = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
        if loss is None and isinstance(output, tuple) and output:
            loss = output[0]
        if torch.is_grad_enabled() and isinstance(loss, Tensor) and loss.numel() == 1:
            if self._feed is not None:
                self._feed.babysitter.look_at(loss)
            self._losses.append(loss.detach().float().reshape(()))
            self._has_losses = True

    def _note(self, finding: Finding) -> None:
        if self._feed is not None:
            self._feed.babysitter.findings.append(finding)

    def _close(self) -> None:
        for each in self._handles:
            each.remove()
        self._handles = []
        if self._feed is not None:
            self._feed.close()


class TrialCallback(BabysitterCallback):
    """Makes a training of ``transformers.Trainer`` a trial: watched, reported, saved and resumed.

    ::

        callback = TrialCallback(trial)
        arguments = TrainingArguments(
            num_train_epochs=trial.budget, seed=trial.seed, eval_strategy="epoch", ...
        )
        trainer = Trainer(model, arguments, callbacks=[callback], ...)
        trainer.train(resume_from_checkpoint=callback.checkpoint)

    After each epoch it reports the metrics of the evaluation, with ``val_`` in place of ``eval_``, and the
    losses and accuracies that it has seen. What the trainer saves in a checkpoint is saved with the trial.
    Options are those of ``hpo.Babysitter``.
    """

    def __init__(self, trial: hpo.Trial, **options: Unpack[Options]) -> None:
        options.setdefault("checks", trial.thresholds)
        super().__init__(**options)
        self._trial = trial
        self._files = unpacked_files(trial.restore().get(_SAVED))
        self._metrics: dict[str, float] = {}
        self._epoch_ends = False

    @property
    def checkpoint(self) -> str | None:
        """The trainer's checkpoint of the last epoch that was saved; None if the trial starts."""
        return None if self._files is None else str(self._files.folder)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Keep the model with the trial, and begin to watch. Raises ``UserError`` for another budget."""
        budget = self._trial.budget
        if budget is not None and state.num_train_epochs != budget:
            raise UserError(
                f"the trial's budget is {counted(budget, 'epoch')}, and num_train_epochs is "
                f"{args.num_train_epochs:g}: use TrainingArguments(num_train_epochs=trial.budget)"
            )
        super().on_train_begin(args, state, control, model, optimizer, **kwargs)
        if self._feed is not None and model is not None:
            self._trial.keep(model=model)
            self._trial.follow(self._feed, "give the model labels, so that it returns its loss")

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the loss of the step, and stop if the trial has to."""
        super().on_step_end(args, state, control, **kwargs)
        self._trial.step()

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Have the trainer save a checkpoint, after the evaluation."""
        self._epoch_ends = control.should_save = True

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Take the metrics."""
        super().on_evaluate(args, state, control, metrics, **kwargs)
        self._metrics = {
            f"val_{name.removeprefix('eval_')}": float(value)
            for name, value in (metrics or {}).items()
            if name.startswith("eval_") and not name.endswith(_NOT_METRICS)
        }

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Report the epoch, if it ends, and save the trainer's checkpoint with the trial."""
        if not self._epoch_ends or self._feed is None or args.output_dir is None:
            return
        folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        self._trial.save(**{_SAVED: packed_files(folder)})
        if args.save_strategy == "no":
            shutil.rmtree(folder)
        metrics, self._metrics, self._epoch_ends = self._feed.measured() | self._metrics, {}, False
        self._trial.report(None, **metrics)


def _optimizer(given: Any) -> Optimizer | None:
    """Return the optimizer inside of Accelerate's; None for one that steps elsewhere, as DeepSpeed's."""
    inner = getattr(given, "optimizer", given)
    return inner if isinstance(inner, Optimizer) else None
