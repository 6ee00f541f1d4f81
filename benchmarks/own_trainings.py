"""The trainings of own_training.py, for hpo and for Optuna, and the program that runs a study of Optuna's."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import optuna
import torch

EPOCHS = 4
Report = Callable[[float, int], None]
"""Takes the validation accuracy of an epoch and its number."""


def digits(lr: float, report: Report) -> None:
    """A linear classifier of scikit-learn's digits, by SGD."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import SGDClassifier

    images, labels = load_digits(return_X_y=True)
    model = SGDClassifier(learning_rate="constant", eta0=lr, random_state=0)
    for epoch in range(1, EPOCHS + 1):
        for _ in range(10):
            model.partial_fit(images[:1400], labels[:1400], classes=range(10))
        report(model.score(images[1400:], labels[1400:]), epoch)


def pictures(lr: float, report: Report) -> None:
    """A convolutional network that tells apart bars of four directions in noise."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels = drawn(1200)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for epoch in range(1, EPOCHS + 1):
        for at in torch.randperm(1000).split(50):
            loss = torch.nn.functional.cross_entropy(model(images[at]), labels[at])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            right = model(images[1000:]).argmax(1) == labels[1000:]
        report(right.float().mean().item(), epoch)


def lightning(lr: float, report: Report) -> None:
    """The same network and pictures in a ``lightning.Trainer``."""
    from hpo.data.cifar10 import import_torchvision

    import_torchvision()  # which Lightning imports, and which may not fit PyTorch here
    import lightning

    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    images, labels = drawn(1200)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layers = network()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("right", (self.layers(batch[0]).argmax(1) == batch[1]).float().mean())

        def on_validation_epoch_end(self) -> None:
            report(self.trainer.callback_metrics["right"].item(), self.current_epoch + 1)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=lr, momentum=0.9)

    train = torch.utils.data.TensorDataset(images[:1000], labels[:1000])
    held_out = torch.utils.data.TensorDataset(images[1000:], labels[1000:])
    lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    ).fit(
        Module(),
        torch.utils.data.DataLoader(train, 50, shuffle=True),
        torch.utils.data.DataLoader(held_out, 200),
    )


def network() -> torch.nn.Module:
    """Return a network for the pictures."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(256, 4),
    )


def drawn(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures (count, 1, 16, 16) and their labels."""
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    directions = [rows - 8, columns - 8, rows - columns, rows + columns - 15]
    labels = torch.arange(count) % 4
    bars = torch.stack([(each.abs() < 2).float() for each in directions])
    return (bars[labels] + torch.randn(count, 16, 16)).unsqueeze(1), labels


def nothing(lr: float, report: Report) -> None:
    """Report three epochs."""
    for epoch in range(1, 4):
        report(lr, epoch)


TRAININGS = {each.__name__: each for each in (digits, pictures, lightning, nothing)}


def run(trial: Any) -> None:
    """A training for hpo."""
    TRAININGS[trial["training"]](trial["lr"], lambda value, epoch: trial.report(val_accuracy=value))


def objective_of(name: str) -> Callable[[optuna.Trial], float]:
    """Return the same training as an objective for Optuna."""

    def objective(trial: optuna.Trial) -> float:
        best = []

        def report(value: float, epoch: int) -> None:
            best.append(value)
            trial.report(value, epoch)

        TRAININGS[name](trial.suggest_float("lr", 1e-3, 0.1, log=True), report)
        return max(best)

    return objective


digits_objective, pictures_objective = objective_of("digits"), objective_of("pictures")
lightning_objective, nothing_objective = objective_of("lightning"), objective_of("nothing")


def storage(url: str, heartbeat: bool) -> optuna.storages.RDBStorage:
    """Return Optuna's storage; with a heartbeat, trials of dead processes are trained again."""
    if not heartbeat:
        return optuna.storages.RDBStorage(url)
    retry = optuna.storages.RetryFailedTrialCallback()
    return optuna.storages.RDBStorage(url, heartbeat_interval=1, grace_period=3, failed_trial_callback=retry)


def main() -> None:
    """Run trials of a study: URL STUDY TRAINING TRIALS JOBS TOTAL (0 for no heartbeat)."""
    url, study, name = sys.argv[1:4]
    trials, jobs, total = map(int, sys.argv[4:])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.RandomSampler()
    loaded = optuna.load_study(study_name=study, storage=storage(url, total > 0), sampler=sampler)
    if total:
        done = optuna.study.MaxTrialsCallback(total, states=(optuna.trial.TrialState.COMPLETE,))
        loaded.optimize(objective_of(name), callbacks=[done])
    else:
        loaded.optimize(objective_of(name), n_trials=trials, n_jobs=jobs)


if __name__ == "__main__":
    main()
