"""Studies whose training is a function of the user's: one module with what such functions do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text

from hpo.config.study import StudySpec
from hpo.events import Event
from hpo.storage.store import ResultsStore
from hpo.workers.loop import serve
from hpo.workers.messages import WorkOrder
from hpo.workers.submit import submit_study

TRAINER = '''
import os, random, signal, sys, threading, time
from pathlib import Path
import numpy as np


def run(trial):
    return globals()[trial["does"]](trial)


def sound(trial):
    """Draws from the generators in each step; resumable anywhere."""
    state, total = {"weight": np.zeros(3)}, {"sum": 0.0}
    trial.keep(state=state, total=total)
    for epoch in trial.epochs():
        total["sum"] = 0.0
        for step in trial.steps(range(4), resumable=True):
            state["weight"] = state["weight"] * 0.9 + trial["lr"] * np.random.randn(3)
            total["sum"] += random.random()
            disturb(trial, epoch, step)
        accuracy = float(abs(np.tanh(state["weight"].sum())))
        trial.report(val_accuracy=accuracy, train_loss=total["sum"], depth=float(trial["lr"] * epoch))


def disturb(trial, epoch, step):
    """Kills this process once at an epoch and a step, or has the worker stop there."""
    where = trial.parameters.get("killed_at", "")
    mark = Path(f"killed-{trial.study}-{trial.number}")
    if where == f"{epoch} {step}" and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if f"{epoch} {step}" in trial.parameters.get("stopped_at", "") and not Path(f"{epoch} {step}").exists():
        Path(f"{epoch} {step}").touch()
        Path("stop").touch()
        time.sleep(1)


def saving(trial):
    """As ``sound``, with values saved by hand."""
    weight = trial.restore().get("weight", np.zeros(3))
    for epoch in trial.epochs():
        weight = weight * 0.9 + trial["lr"] * np.random.randn(3)
        disturb(trial, epoch, 0)
        trial.save(weight=weight)
        trial.report(epoch, val_accuracy=float(abs(np.tanh(weight.sum()))))


def returning(trial):
    return 0.25 + trial["lr"]


def raising(trial):
    for epoch in trial.epochs():
        trial.report(val_accuracy=0.5)
        inner()


def inner():
    raise ValueError("no such file: sesame")


def exiting(trial):
    sys.exit(3)


def dying(trial):
    os._exit(7)


def crashing(trial):
    import ctypes
    ctypes.string_at(0)


def exhausting(trial):
    raise MemoryError


def growing(trial):
    held = np.ones(400_000_000 // 8)
    for _ in trial.steps(iter(int, 1)):
        time.sleep(0.01)


def endless(trial):
    for _ in trial.steps(iter(int, 1)):
        time.sleep(0.01)


def stubborn(trial):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(0.01)


def hanging(trial):
    time.sleep(1000)


def leaking(trial):
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    os.chdir("/")
    os.environ["SPOILED"] = "1"
    np.seterr(all="raise")
    return 0.5


def looking(trial):
    """Returns whether nothing of an earlier trial is left."""
    untouched = "SPOILED" not in os.environ and os.getcwd() != "/" and np.geterr()["over"] == "warn"
    return float(untouched and threading.active_count() <= 2)


def nothing(trial):
    return "0.5"


def saving_late(trial):
    for _ in trial.epochs():
        trial.report(val_accuracy=0.5)
        trial.save(weight=1)


def misusing(trial):
    trial.report(0, val_accuracy=0.5)


def skipping(trial):
    trial.keep(sums={"n": 1})
    trial.report(epoch=3, val_accuracy=0.25)


def seeded(trial):
    return trial.seed / 2**32


def printing(trial):
    print("first line")
    for _ in range(60_000):
        print("x" * 100)
    print("last line")
    return 0.5
'''


def spec(name: str, does: list[str], **changes: Any) -> StudySpec:
    """Return a study with one trial for each function."""
    document: dict[str, Any] = {
        "study": name,
        "trainer": "own_trainer:run",
        "trials": len(does),
        "sampler": "grid",
        "space": {"does": {"choice": does}} if len(does) > 1 else {"lr": {"choice": [0.3]}},
        "fixed": {"epochs": 3, "lr": 0.3} if len(does) > 1 else {"epochs": 3, "does": does[0]},
        "max_consecutive_failures": 100,
    }
    fixed = document["fixed"] | changes.pop("fixed", {})
    return StudySpec.model_validate(document | {"fixed": fixed} | changes)


def submit(url: str, study: StudySpec) -> None:
    with ResultsStore(url) as store:
        submit_study(store, study)


def work(url: str, name: str, check_stop: Callable[[], None] = lambda: None) -> list[Event]:
    events: list[Event] = []
    serve(WorkOrder(url, (name,), "cpu", 1), events.append, check_stop, lambda ready: None)
    return events


def run(url: str, study: StudySpec) -> list[Event]:
    submit(url, study)
    return work(url, study.study)


def rows(url: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with ResultsStore(url) as store, store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql), values)]


def write_trainer(folder: Path, source: str = TRAINER) -> None:
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)  # its code is known by size and second
    (folder / "own_trainer.py").write_text(source)


TORCH_TRAINER = '''
import os, signal
from pathlib import Path


def run(trial):
    """A small network on drawn points, under the babysitter; imports PyTorch only here."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    drawn = torch.Generator().manual_seed(0)
    points = torch.randn(256, 6, generator=drawn)
    labels = (points[:, :3].sum(1) > 0).long()
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=trial["lr"])
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
    sums = {"loss": 0.0}
    trial.keep(model=model, optimizer=optimizer, scheduler=scheduler, sums=sums)
    data = torch.utils.data.TensorDataset(points[:192], labels[:192])
    batches = trial.babysit(model, optimizer, torch.utils.data.DataLoader(data, 32, shuffle=True))
    for epoch in trial.epochs():
        sums["loss"] = 0.0
        for step, (inputs, targets) in enumerate(trial.steps(batches, resumable=True)):
            optimizer.zero_grad()
            loss = batches.loss(cross_entropy(model.train()(inputs), targets))
            loss.backward()
            optimizer.step()
            sums["loss"] += loss.item()
            disturb(trial, epoch, step)
        scheduler.step()
        with torch.no_grad():
            outputs = model.eval()(points[192:])
        accuracy = (outputs.argmax(1) == labels[192:]).float().mean()
        val_loss = cross_entropy(outputs, labels[192:])
        trial.report(train_loss=sums["loss"] / 6, val_accuracy=accuracy, val_loss=val_loss)


def disturb(trial, epoch, step):
    mark = Path(f"killed-{trial.study}-{trial.number}")
    if trial.parameters.get("killed_at") == f"{epoch} {step}" and not mark.exists():
        mark.touch()
        os.kill(os.getpid() if trial["kills"] == "trainer" else os.getppid(), signal.SIGKILL)
'''
