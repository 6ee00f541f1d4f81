"""A command that trains a trial, as its worker sees it: started, read and ended, like a trainer process."""

from __future__ import annotations

import signal
import time
from collections import deque

from hpo.config.command import filled
from hpo.records import EpochResult, reported_epoch
from hpo.redact import redact
from hpo.text import counted
from hpo.trainer.command_files import TrialFiles, command_environment, command_words
from hpo.trainer.messages import (
    Alive,
    Begin,
    Done,
    End,
    Epoch,
    Found,
    Left,
    Leftover,
    Restored,
    Stop,
    ToTrainer,
    ToWorker,
    TrainingFailed,
    TrialNote,
)
from hpo.trainer.metric_lines import EXAMPLE, ReportedEpochs, parse_report
from hpo.trainer.process import Death, Usage, usage_of
from hpo.trainer.program import Program
from hpo.training.programs import not_started


class CommandProcess:
    """Runs a command for one trial."""

    def __init__(self, command: tuple[str, ...], threads: int) -> None:
        self._command = command
        self._threads = threads
        self._messages: deque[ToWorker] = deque()
        self._running: Program | None = None
        self._begin: Begin | None = None
        self._leaves = False
        self._is_over = False

    def send(self, message: ToTrainer) -> None:
        """Start the command, or ask it to end."""
        if isinstance(message, Begin):
            self._start(message)
        elif isinstance(message, End | Stop):
            self._leaves = True
            self.terminate()

    def _start(self, begin: Begin) -> None:
        self._begin = begin
        self._files = TrialFiles(begin)
        self._epochs = self._files.reported_before()
        self._messages.append(self._restored(begin.recorded))
        if begin.resumes and not self._epochs.are_numbered:
            self._start_over()
        self._clock = time.monotonic()
        unrecorded = range(begin.recorded + 1, len(self._epochs.epochs) + 1)
        self._messages += [self._epoch(number) for number in unrecorded]
        words = command_words(begin, self._files, len(self._epochs.epochs))
        try:
            self._running = Program(
                [filled(each, words) for each in self._command],
                command_environment(begin, words, self._threads),
                self._files.metrics,
            )
        except OSError as error:
            self._fail(not_started(self._command[0], error))

    def _start_over(self) -> None:
        """Forget earlier attempts: without the numbers of epochs it is not known where one resumes."""
        epochs = counted(len(self._epochs.epochs), "epoch")
        message = (
            f"started over after {epochs}: reports without an epoch do not tell where a training resumes"
        )
        self._files.forget()
        self._epochs = ReportedEpochs(self._epochs.budget)
        self._messages.clear()
        self._messages += [self._restored(0), TrialNote("resume", message)]

    def _restored(self, recorded: int) -> Restored:
        curve = [self._result(number, 0.0) for number in range(1, len(self._epochs.epochs) + 1)]
        known = curve[:recorded]
        seconds = self._files.seconds()
        return Restored(
            len(known) or None, within=False, curve=known, found=Found(), seconds=seconds, refused=[]
        )

    def receive(self, seconds: float) -> ToWorker | None:
        """Return the next message; None if none came in time. Raises ``EOFError`` if it was killed."""
        if not self._messages and not self._is_over:
            self._collect(seconds)
        if self._messages:
            return self._messages.popleft()
        if self._is_over:
            raise EOFError
        return None

    def _collect(self, seconds: float) -> None:
        running = self._running
        assert running is not None, "a command that was not started has failed"
        has_output = running.read(seconds)
        if has_ended := running.has_ended():
            running.end()
        try:
            for line in self._files.new.lines(to_end=has_ended):
                self._report(line)
        except ValueError as error:
            self._fail(str(error))
        if self._is_over:
            return
        if has_ended:
            self._ended(running)
        elif has_output and not self._messages:
            self._messages.append(Alive())

    def _report(self, line: str) -> None:
        try:
            known = len(self._epochs.epochs)
            kept = self._epochs.add(parse_report(line))
        except ValueError as error:
            raise ValueError(f"a report of metrics {error}: {line[:200]}") from None
        if kept < known:  # it resumes from an older checkpoint of its own, or starts over
            self._messages.append(self._restored(kept))
        self._messages += [self._epoch(number) for number in range(kept + 1, len(self._epochs.epochs) + 1)]

    def _epoch(self, number: int) -> Epoch:
        now = time.monotonic()
        seconds, self._clock = now - self._clock, now
        return Epoch(self._result(number, seconds), number, Found())

    def _result(self, number: int, seconds: float) -> EpochResult:
        return reported_epoch(number, self._epochs.epochs[number - 1], seconds)

    def _ended(self, running: Program) -> None:
        """Take the end of the command as the end of the trial."""
        self._is_over = True
        code = running.code
        if self._leaves:
            self._messages.append(Left(Leftover()))
        elif code == 0:
            self._done()
        elif code not in (-signal.SIGKILL, -signal.SIGTERM):  # those come from outside: see ``death``
            last = f": {running.last_lines[-1]}" if running.last_lines else ""
            self._fail(f"the command {Death(code, by_kernel=False)}{last}")

    def _done(self) -> None:
        assert self._begin is not None, "a command has ended that was begun"
        objective = self._begin.objective
        names = {name for each in self._epochs.epochs for name in each}
        if objective not in names:
            reported = f"only {', '.join(sorted(names))}" if names else "no metric"
            line = EXAMPLE.replace("val_accuracy", objective)
            how = f"by `hpo report {objective}=VALUE`, or by a line such as {line}"
            missed = self._running.like_a_report if self._running is not None else ""
            if missed:
                how += f"; a line on standard error, or that begins otherwise, does not count: {missed}"
            self._fail(f"the command ended and has reported {reported}: it must report {objective}, {how}")
            return
        self._messages.append(Done())

    def _fail(self, message: str) -> None:
        self._is_over = True
        last = "\n".join(self._running.last_lines) if self._running else ""
        kernel = self._running is not None and self._running.was_short_of_memory()
        cause = "out_of_memory" if kernel else "error"
        self._messages.append(TrainingFailed(cause, redact(message), redact(last), Found(), Leftover()))

    def usage(self) -> Usage:
        """Return what it and its descendants use now."""
        if self._running is None:
            return Usage(0.0, 0)
        self._files.count_seconds(self._running.seconds())
        return usage_of(self._running.watched)

    def is_clean(self, leftover: Leftover) -> bool:
        """A command trains one trial only."""
        return False

    def terminate(self) -> None:
        """Send SIGTERM to the command and its descendants."""
        if self._running is not None:
            self._running.signal(signal.SIGTERM)

    def end(self) -> None:
        """Kill the command and its descendants."""
        self._is_over = True
        if self._running is not None:
            self._running.end()
            self._files.count_seconds(self._running.seconds())
        self._files.close()

    def death(self) -> Death:
        """Return how it died, after ``receive`` has said so."""
        running = self._running
        return Death(running.code, running.was_short_of_memory()) if running else Death(None, by_kernel=False)
