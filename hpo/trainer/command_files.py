"""What a command is given: files in its trial's folder, values of placeholders, environment variables."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from hpo.config.command import COMMAND_WORDS, argument_text, parameter_variable, trial_variable
from hpo.rng import Key
from hpo.trainer.messages import Begin
from hpo.trainer.metric_lines import ReportedEpochs, Tail
from hpo.trainer.reaper import wait_for_metrics


class TrialFiles:
    """The files of a trial whose training is a command."""

    def __init__(self, begin: Begin) -> None:
        folder = Path(begin.checkpoints)
        self.folder = folder / "files"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.artifacts = Path(begin.artifacts)
        self.artifacts.mkdir(parents=True, exist_ok=True)
        self.parameters = folder / "parameters.json"
        self.parameters.write_text(json.dumps(begin.parameters, indent=2) + "\n", encoding="utf-8")
        self.metrics = folder / f"metrics-{begin.token:06d}.jsonl"
        self.metrics.touch()
        self.new = Tail(self.metrics)
        self._budget = begin.budget
        self._earlier = sorted(each for each in folder.glob("metrics-*.jsonl") if each != self.metrics)
        self._times = folder / "seconds"
        self._seconds_before = self._read_seconds() if begin.resumes else 0.0
        self._seconds_now = 0.0

    def reported_before(self) -> ReportedEpochs:
        """Return what earlier attempts at the trial have reported, once that is complete."""
        for each in self._earlier:
            wait_for_metrics(each)
        return ReportedEpochs.of_earlier(self._earlier, self._budget)

    def forget(self) -> None:
        """Remove what earlier attempts have left."""
        for each in self._earlier:
            each.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def seconds(self) -> float:
        """Return the training time so far, over all attempts."""
        return self._seconds_before + self._seconds_now

    def count_seconds(self, now: float) -> None:
        """Note how long this attempt has taken; once a second, in a file."""
        if now - self._seconds_now >= 1:
            self._seconds_now = now
            with suppress(OSError):
                self._times.write_text(f"{self.seconds():.3f}\n")

    def _read_seconds(self) -> float:
        try:
            return float(self._times.read_text())
        except (OSError, ValueError):
            return 0.0

    def close(self) -> None:
        """Remove folders that nothing was put into."""
        with suppress(OSError):
            self.artifacts.rmdir()


def command_words(begin: Begin, files: TrialFiles, epoch: int) -> dict[str, str]:
    """Return the value of each placeholder of a command."""
    own = {
        "number": begin.number,
        "study": begin.study,
        "stage": begin.stage,
        "seed": Key(begin.seed, begin.path).integer() % 2**32,  # as of ``hpo.Trial``
        "device": begin.device,
        "budget": "" if begin.budget is None else begin.budget,
        "data_share": begin.data_share,
        "fold": begin.fold if begin.folds else "",
        "folds": begin.folds,
        "epoch": epoch,
        "folder": files.folder,
        "artifacts": files.artifacts,
        "parameters": files.parameters,
        "metrics": files.metrics,
    }
    words = {name: argument_text(value) for name, value in begin.parameters.items()}
    words |= {f"trial.{name}": str(value) for name, value in own.items()}
    assert words.keys() >= COMMAND_WORDS.keys(), "every word of a command has a value"
    return words


def command_environment(begin: Begin, words: dict[str, str], threads: int) -> dict[str, str]:
    """Return the environment of a command; ``words`` are the values of its placeholders."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    unbuffered = {"PYTHONUNBUFFERED": "1"}  # Python's metrics arrive when they are printed
    given = {parameter_variable(name): words[name] for name in begin.parameters}
    trial = {trial_variable(name): words[name] for name in COMMAND_WORDS}
    return {**unbuffered, **limits, **os.environ, **given, **trial}
