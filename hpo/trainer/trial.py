"""``hpo.Trial``: what the user's own training is given, and how it reports, resumes and stops."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from hpo.errors import UserError
from hpo.files import atomic_file
from hpo.records import BASIC_MEASURES, EpochResult, reported_epoch
from hpo.trainer.connection import Connection, TrialEnded
from hpo.trainer.messages import Begin, Epoch, TrialNote
from hpo.trainer.metric_lines import MOST_SKIPPED
from hpo.trainer.saved import Saves
from hpo.training.generators import seed_generators

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from hpo.config.thresholds import Thresholds
    from hpo.integrations.feed import Feed

_Item = TypeVar("_Item")
_State = TypeVar("_State")
_TELL_STEPS = "call step(loss) of what trial.babysit returned, after each step"
_TELL_LOSSES = "iterate over batches = trial.babysit(...), and write loss = batches.loss(loss)"
_TELL_LOOP = "pass each loss to loss() of what trial.follow was given"

__all__ = ["Trial", "TrialEnded"]


class Trial:
    """One trial of a study whose training is the user's own: its parameters, and what it reports.

    ``trial["lr"]`` is the value of a parameter. A training that loops over ``epochs``, keeps its states with
    ``keep`` and reports each epoch resumes after a killed worker, bit for bit; without ``keep`` it starts
    again from the first epoch.

    ::

        def run(trial: hpo.Trial) -> None:
            model, optimizer = build(trial["width"]), ...
            trial.keep(model=model, optimizer=optimizer)
            for epoch in trial.epochs(30):
                ...
                trial.report(val_accuracy=accuracy, train_loss=loss)
    """

    def __init__(self, begin: Begin, connection: Connection, saves: Saves) -> None:
        self._begin = begin
        self._connection = connection
        self._saves = saves
        self._epoch_started = time.monotonic()
        self._epoch = 0
        """The one that ``epochs`` has yielded; 0 in a training that does not use it."""
        self._reported_first: bool | None = None
        """Whether an epoch was reported before the first call of ``save``; None until then."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The values of this trial by name, drawn and fixed; those that do not apply are not in it."""
        return MappingProxyType(self._begin.parameters)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a parameter. Raises ``UserError`` if the trial has none of this name."""
        try:
            return self._begin.parameters[name]
        except KeyError:
            known = ", ".join(sorted(self._begin.parameters)) or "none"
            raise UserError(
                f"the trial has no parameter {name}; known: {known}. One with `when` is only there where it "
                "applies: use trial.parameters.get(name)"
            ) from None

    @property
    def number(self) -> int:
        """The trial's number in its study, from 0."""
        return self._begin.number

    @property
    def study(self) -> str:
        """The study's name."""
        return self._begin.study

    @property
    def stage(self) -> str:
        """The name of the stage; ``main`` in a study without stages."""
        return self._begin.stage

    @property
    def seed(self) -> int:
        """A seed in [0, 2**32) of this trial alone; trainings that confirm a configuration have others.

        Python's, NumPy's and PyTorch's global generators are seeded with it when the trial starts.
        """
        return self._saves.key.integer() % 2**32

    @property
    def device(self) -> str:
        """Where to train: ``cpu``, ``cuda:0``, ..."""
        return self._begin.device

    @property
    def budget(self) -> int | None:
        """The number of epochs: the stage's, else ``epochs`` of the study; None if neither is set."""
        return self._begin.budget

    @property
    def data_share(self) -> float:
        """The share of the training data that the stage uses, in (0, 1]."""
        return self._begin.data_share

    @property
    def fold(self) -> int | None:
        """The fold that is held out for validation, from 0; None without folds."""
        return self._begin.fold if self._begin.folds else None

    @property
    def folds(self) -> int:
        """The number of folds; 0 without."""
        return self._begin.folds

    @property
    def minutes_left(self) -> float | None:
        """Time left under the study's limit, over all attempts; None without a limit."""
        if self._begin.minutes is None:
            return None
        return max(0.0, self._begin.minutes - self._saves.seconds() / 60)

    def epochs(self, count: int | None = None) -> Iterator[int]:
        """Yield the numbers of the epochs that are left, up to the budget, or to ``count`` without one.

        A resumed trial starts after its last saved epoch. At the start of each epoch Python's, NumPy's and
        PyTorch's global generators are seeded from the trial and the epoch's number. An epoch that was not
        reported is recorded without metrics; one whose reports lacked the objective ends when the loop
        continues. Raises ``UserError`` without a budget and ``count``.
        """
        last = self._begin.budget if self._begin.budget is not None else count
        if last is None:
            raise UserError(
                "trial.epochs() needs a number, because the study sets no epochs: trial.epochs(30)"
            )
        if self._epoch:  # of a loop that was left
            self.end_epoch()
        progress = self._saves.progress
        for epoch in range(progress.epochs + 1, last + 1):
            seed_generators((self._saves.key / "epoch" / epoch).integer())
            self._epoch_started = time.monotonic()
            self._epoch = epoch
            self.check()
            yield epoch
            if progress.epochs < epoch:
                self._end_epoch(progress.reported or {})

    def steps(self, iterable: Iterable[_Item], *, resumable: bool = False) -> Iterator[_Item]:
        """Yield the items of ``iterable``, such as the batches of a loader, within an epoch of ``epochs``.

        Between two items the trial shows that it makes progress, and stops if it has to. With ``resumable``
        it is also saved there, once a minute and before it stops; resumed, it skips the items that are
        done. Use that only if all that the loop changes is kept: a sum over the epoch belongs in a dict that
        was given to ``keep``.
        """
        items, saves = iter(iterable), self._saves
        if saves.progress.within:
            for _ in range(saves.progress.within):
                next(items, None)
            saves.restore_within()
        for item in items:
            yield item
            self._count_step()
            if resumable and saves.is_used and (saves.is_due() or self._connection.must_leave()):
                saves.save()
            self.check()

    def step(self) -> None:
        """Show that a step is done: what ``steps`` does between two items, for loops of other libraries.

        Raises ``TrialEnded`` if the trial must stop.
        """
        self._count_step()
        self.check()

    def _count_step(self) -> None:
        saves = self._saves
        saves.progress.step()
        if saves.watch.is_fatal:
            self._connection.ask(saves.news())

    def check(self) -> None:
        """Show that the trial makes progress. Raises ``TrialEnded`` if it must stop.

        ``epochs``, ``steps`` and ``report`` call it.
        """
        self._connection.check()

    @overload
    def keep(self, state: _State, /) -> _State: ...
    @overload
    def keep(self, *states: Any, **named: Any) -> None: ...
    def keep(self, *states: Any, **named: Any) -> Any:
        """Save these objects with the trial, at each epoch, and restore them now if the trial is resumed.

        An object has ``state_dict`` and ``load_state_dict``, as models, optimizers, schedulers and gradient
        scalers do, or is a dict, whose content is kept. At the best epoch the states of all but optimizers,
        schedulers and scalers are kept for good, if the trial is one of the study's best. Call it after the
        objects are built and on their device. Returns the object if it is the only one. Raises ``UserError``
        for anything else, and for a name that is taken.
        """
        for each in states:
            self._saves.keep(self._saves.name_of(each), each)
        for name, each in named.items():
            self._saves.keep(name, each)
        return states[0] if len(states) == 1 and not named else None

    def save(self, **states: Any) -> None:
        """Save values with the trial, such as ``model=model.state_dict()``; ``restore`` returns them.

        For what ``keep`` cannot hold. An object with ``state_dict`` stands for its state. Call it in each
        epoch before ``report``, which writes them. Raises ``UserError`` if it comes after.
        """
        progress = self._saves.progress
        if self._reported_first is None:
            self._reported_first = progress.epochs > progress.restored
        if self._reported_first or progress.epochs >= self._epoch > 0:
            raise UserError("save: call it before report, which ends the epoch that its values belong to")
        self._saves.put(states)

    def restore(self) -> dict[str, Any]:
        """Return the values of the last saved epoch, with tensors on the CPU; empty if the trial starts."""
        return self._saves.values()

    def report(self, epoch: int | None = None, **metrics: Any) -> None:
        """Report the metrics of an epoch: it is saved, recorded, and compared with other trials.

        Within ``epochs`` the reports of an epoch are merged, and the one with the study's objective ends it;
        without the objective it ends when the loop continues. In a loop without ``epochs`` each report is an
        epoch: ``epoch`` is by default the next one, and may skip some, which are recorded without metrics.
        ``train_loss``, ``train_accuracy``, ``val_loss``, ``val_accuracy`` (shares, losses in nats) and ``lr``
        are also what the checks read. Raises ``TrialEnded`` if the trial ends here, and ``UserError`` for an
        epoch out of order or one that has ended, and for a metric that is not a number.
        """
        self._connection.refuse_forked()
        numbers = {name: _number(name, value) for name, value in metrics.items()}
        if self._epoch:
            self._merge(epoch, numbers)
            return
        for _ in range(self._skipped(epoch)):
            self._end_epoch({})
        self._end_epoch(numbers)

    def _merge(self, epoch: int | None, numbers: Mapping[str, float]) -> None:
        """Add to what was reported in the epoch of ``epochs``; the objective ends it."""
        progress, objective = self._saves.progress, self._begin.objective
        if epoch in (None, self._epoch) and progress.epochs >= self._epoch:
            raise UserError(
                f"trial.report was called again in epoch {self._epoch}, which has ended: report all metrics "
                f"of an epoch at once, or {objective} last"
            )
        self._skipped(epoch)
        if epoch not in (None, self._epoch):
            raise UserError(f"report: epoch {epoch} is not {self._epoch}, the one of trial.epochs()")
        reported = {**(progress.reported or {}), **numbers}
        self._result(reported)  # a mistake is told where it is made
        progress.reported = reported
        if objective in numbers:
            self.end_epoch()
        else:
            self.check()

    def end_epoch(self) -> None:
        """End the epoch of ``epochs`` if it was reported without the objective.

        ``epochs`` calls it when the loop continues, and the trial when the training returns. Raises
        ``TrialEnded`` if the trial ends here.
        """
        self._connection.refuse_forked()
        if self._saves.progress.reported is not None:
            self._end_epoch(self._saves.progress.reported)

    def _skipped(self, epoch: int | None) -> int:
        """Return how many epochs a report of this one skips. Raises ``UserError`` if it is out of order."""
        last = self._saves.progress.epochs
        if epoch is None:
            if not self._epoch and last == self.budget:
                raise UserError(
                    f"report: epoch {last + 1} is beyond the budget of {last} (trial.budget): each report is "
                    "an epoch, so loop over trial.epochs(), or report no more often"
                )
            return 0
        skipped = epoch - last - 1
        if epoch < 1:
            raise UserError(f"report: epoch {epoch} cannot follow epoch {last}: epochs count from 1")
        if not 0 <= skipped <= (0 if self._epoch else MOST_SKIPPED):
            again = ": report all metrics of an epoch at once" if epoch == last else ""
            raise UserError(f"report: epoch {epoch} cannot follow epoch {last}{again}")
        if self.budget is not None and epoch > self.budget:
            raise UserError(f"report: epoch {epoch} is beyond the budget of {self.budget} (trial.budget)")
        return skipped

    def _result(self, numbers: Mapping[str, float]) -> EpochResult:
        """Return the epoch that ends now. Raises ``UserError`` for names that are not valid."""
        try:
            seconds = time.monotonic() - self._epoch_started
            return reported_epoch(self._saves.progress.epochs + 1, numbers, seconds)
        except ValueError as error:
            raise UserError(f"report: {error}") from None

    def _end_epoch(self, numbers: Mapping[str, float]) -> None:
        saves, result = self._saves, self._result(numbers)
        saves.watch.end_epoch({name: result.metric(name) for name in BASIC_MEASURES})
        saves.progress.end_epoch(result)
        saves.remember_best()
        found = saves.news()
        saves.save_epoch()
        self._connection.ask(Epoch(result, saves.progress.steps, found))
        self._epoch_started = time.monotonic()
        self.check()

    def babysit(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        loader: Iterable[Any] | None = None,
        **arguments: Any,
    ) -> Any:
        """Watch the training of ``model``: findings are recorded with the trial, and a fatal one ends it.

        With a ``loader`` it returns the loader to iterate over, as ``hpo.watch`` does: report each loss to
        its ``loss``. Without, it returns an ``hpo.Babysitter``: call its ``before`` and ``step``; ``report``
        calls its ``epoch``. Other arguments are theirs. Call it once, after ``keep``.
        """
        options = {"checks": self._saves.thresholds, "epochs": self.budget, **arguments}
        is_on = options["checks"] != "off" and getattr(options["checks"], "watch", True)
        if loader is None:
            from hpo.checks.babysitter import Babysitter

            babysitter = Babysitter(model, optimizer, **options)
            self._saves.watch.begin(babysitter, advice=_TELL_STEPS if is_on else "")
            return babysitter
        from hpo.integrations.plain import watch

        watched = watch(loader, model, optimizer, **options)
        self._saves.watch.begin(watched.babysitter, watched.feed, _TELL_LOSSES if is_on else "")
        return watched

    def follow(self, loop: Feed, advice: str = _TELL_LOOP) -> None:
        """Take the findings of a babysitter that a callback of Lightning or transformers feeds.

        If it is told no loss, the trial's verdict says so, with this advice.
        """
        self._saves.watch.begin(loop.babysitter, loop, advice if self._saves.thresholds.watch else "")

    @property
    def thresholds(self) -> Thresholds:
        """Those of the study's checks, for a babysitter of your own."""
        return self._saves.thresholds

    def log(self, *texts: object, **values: Any) -> None:
        """Write a line to the trial's output, which `hpo logs` shows: texts, and values as JSON."""
        parts = [*map(str, texts), *([json.dumps(values, default=str)] if values else [])]
        sys.stdout.write(" ".join(parts) + "\n")

    def artifact(self, path: str | Path, name: str | None = None) -> Path:
        """Copy a file to the study's folder of artifacts, and return where it is; a note names it.

        ``name`` is the file's own by default. Raises ``UserError`` if there is no such file.
        """
        source = Path(path)
        if not source.is_file():
            raise UserError(f"artifact: {source} is not a file")
        target = Path(self._begin.artifacts) / Path(name or source.name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as file, source.open("rb") as content:
            shutil.copyfileobj(content, file)
        self._connection.send(TrialNote(f"artifact {target.name}", f"kept the file {target}"))
        return target

    def __repr__(self) -> str:
        return f"<hpo.Trial {self.number} of {self.study}>"


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, str | bytes):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"report: {name} is not a number but {value!r}") from None
