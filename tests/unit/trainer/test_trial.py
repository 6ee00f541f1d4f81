"""``hpo.Trial``: which reports belong to an epoch, and when it ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hpo.errors import UserError
from hpo.integrations.plain import Watched, watch
from hpo.trainer.connection import Connection
from hpo.trainer.messages import Begin, Channel, Epoch, ToWorker
from hpo.trainer.saved import Saves
from hpo.trainer.trial import Trial


class _Worker(Connection):
    """Notes the epochs, and has the training continue."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.epochs: list[dict[str, float]] = []

    def ask(self, message: ToWorker) -> bool:
        if isinstance(message, Epoch):
            self.epochs.append({"epoch": message.result.epoch, **message.result.metrics})
        return False


@pytest.fixture
def worker() -> Iterator[_Worker]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield _Worker(Channel(ours))


@pytest.fixture
def saves(tmp_path: Path) -> Saves:
    return _saves(tmp_path, resumes=False)


@pytest.fixture
def trial(worker: _Worker, saves: Saves) -> Trial:
    return Trial(saves._begin, worker, saves)


def _saves(folder: Path, *, resumes: bool) -> Saves:
    return Saves(
        Begin(
            number=0, study="s", stage="main", parameters={}, seed=1, path=(), budget=3, data_share=1.0,
            fold=0, folds=0, device="cpu", objective="score", direction="maximize", keeps_best=False,
            resumes=resumes,
            recorded=0, checkpoints=str(folder), token=1, checkpoint_seconds=60.0, artifacts=str(folder),
            minutes=None, checks={}, optuna=None,
        )
    )  # fmt: skip


def test_reports_are_merged_until_the_objective(trial: Trial, worker: _Worker) -> None:
    for epoch in trial.epochs():
        trial.report(speed=1.0, depth=2.0)
        trial.report(epoch, speed=3.0)
        assert len(worker.epochs) == epoch - 1
        trial.report(score=epoch / 4)
        assert len(worker.epochs) == epoch
    assert worker.epochs == [{"epoch": n, "speed": 3.0, "depth": 2.0, "score": n / 4} for n in (1, 2, 3)]


def test_an_epoch_without_the_objective_ends_when_the_loop_continues(trial: Trial, worker: _Worker) -> None:
    for epoch in trial.epochs():
        if epoch != 2:
            trial.report(speed=1.0)
    assert worker.epochs == [{"epoch": 1, "speed": 1.0}, {"epoch": 2}, {"epoch": 3, "speed": 1.0}]


def test_the_epoch_of_a_loop_that_was_left_ends(trial: Trial, worker: _Worker) -> None:
    for _ in trial.epochs():
        trial.report(speed=1.0)
        break
    assert list(trial.epochs()) == [2, 3]
    trial.end_epoch()
    assert worker.epochs == [{"epoch": 1, "speed": 1.0}, {"epoch": 2}, {"epoch": 3}]


@pytest.mark.parametrize("number", [None, 1])
def test_a_report_after_the_objective_is_refused(number: int | None, trial: Trial, worker: _Worker) -> None:
    next(iter(trial.epochs()))
    trial.report(score=0.5)
    message = (
        "trial.report was called again in epoch 1, which has ended: report all metrics of an epoch at once, "
        "or score last"
    )
    with pytest.raises(UserError, match=message):
        trial.report(number, speed=1.0)
    assert worker.epochs == [{"epoch": 1, "score": 0.5}]


def test_a_report_after_the_last_epoch_is_refused(trial: Trial) -> None:
    for _ in trial.epochs():
        trial.report(score=0.5)
    with pytest.raises(UserError, match="again in epoch 3, which has ended"):
        trial.report(speed=1.0)


def test_a_report_of_another_epoch_than_the_loops_is_refused(trial: Trial) -> None:
    loop = trial.epochs()
    next(loop)
    trial.report(score=0.5)
    with pytest.raises(UserError, match="epoch 2 is not 1, the one of"):
        trial.report(2, score=0.5)


def test_each_report_of_a_loop_of_ones_own_is_an_epoch(trial: Trial, worker: _Worker) -> None:
    trial.report(speed=1.0)
    trial.report(score=0.5)
    assert worker.epochs == [{"epoch": 1, "speed": 1.0}, {"epoch": 2, "score": 0.5}]
    with pytest.raises(
        UserError, match="epoch 2 cannot follow epoch 2: report all metrics of an epoch at once"
    ):
        trial.report(2, speed=1.0)


def test_a_report_of_ones_own_loop_beyond_the_budget_is_refused(trial: Trial, worker: _Worker) -> None:
    for _ in range(3):
        trial.report(score=0.5)
    with pytest.raises(UserError, match="epoch 4 is beyond the budget of 3"):
        trial.report(score=0.9)
    assert len(worker.epochs) == 3


def test_followed_loop_without_a_loss_is_told_how_to_tell_it(trial: Trial, saves: Saves) -> None:
    model = nn.Linear(4, 2)
    batches: Watched[Any] = watch([], model, torch.optim.SGD(model.parameters(), 0.1))
    trial.follow(batches.feed, "return the loss from training_step")
    saves.watch.finish()
    notes = [each for each in saves.watch.news(0).findings if each.check == "unseen"]
    assert [each.remedy.text for each in notes] == ["return the loss from training_step"]


def test_reports_of_an_unfinished_epoch_are_saved(
    trial: Trial, worker: _Worker, saves: Saves, tmp_path: Path
) -> None:
    trial.keep({"error": 1.0})
    loop = trial.epochs()
    next(loop)
    trial.report(speed=1.0)
    next(iter(trial.steps(range(2))))
    trial.step()
    saves.save()
    saves.close()
    resumed = _saves(tmp_path, resumes=True)
    resumed.restore()
    later = Trial(resumed._begin, worker, resumed)
    next(iter(later.epochs()))
    later.report(score=0.5)
    assert worker.epochs == [{"epoch": 1, "speed": 1.0, "score": 0.5}]
