"""The trainer process: runs the user's function for one trial after another, as its worker tells it."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from hpo.errors import UserError
from hpo.redact import redact
from hpo.rng import Key
from hpo.text import counted, printable
from hpo.trainer.connection import Connection, TrialEnded
from hpo.trainer.descendants import adopt_orphans
from hpo.trainer.fixed_state import fixed_state
from hpo.trainer.messages import (
    Begin,
    Channel,
    Done,
    Ended,
    Found,
    Left,
    Leftover,
    Load,
    Pruned,
    TrainingFailed,
)
from hpo.trainer.saved import Saves
from hpo.trainer.torch_import import after_torch_import
from hpo.trainer.trial import Trial
from hpo.training.generators import seed_generators
from hpo.training.process_state import add_torch, import_with_state, preserved
from hpo.training.users_code import import_function

_PACKAGE = Path(__file__).parents[1]
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
_LONGEST = 20_000
"""Characters of an error's text that are kept."""
_MEMORY_SIGNS = ("DefaultCPUAllocator", "std::bad_alloc", "bad allocation", "out of memory")


def main() -> None:
    """Serve the worker at the other end of the socket ``sys.argv[1]`` until it hangs up."""
    _die_with_parent(int(sys.argv[2]))
    adopt_orphans()
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # a crash loses no lines
    load = channel.receive()
    assert isinstance(load, Load)
    sys.path[:] = load.path
    _limit_threads(load.threads)
    while True:
        try:
            begin = channel.receive()
        except EOFError:
            os._exit(0)
        if isinstance(begin, Begin):  # not what was meant for the last trial
            Connection(channel).send(_TrialRun(load, begin, channel).run())


class _TrialRun:
    """One trial, from its begin to its last message."""

    def __init__(self, load: Load, begin: Begin, channel: Channel) -> None:
        self._load = load
        self._begin = begin
        self._connection = Connection(channel)
        self._saves = Saves(begin)
        self._threads = set(threading.enumerate())
        self._state = fixed_state()

    def run(self) -> Ended:
        """Run the user's function; return how it ended."""
        with preserved():
            signal.signal(signal.SIGTERM, _leave)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            seed = (Key(self._begin.seed, tuple(self._begin.path)) / "start").integer()
            after_torch_import(lambda: _prepare_torch(self._load.threads, seed))
            seed_generators(seed)
            end = self._end()
            self._saves.close()
        with suppress(OSError, ValueError):  # it was closed
            sys.stdout.flush()
            sys.stderr.flush()
        return self._with_leftover(end)

    def _end(self) -> Ended:
        found = Found()
        try:
            value = self._train()
            self._saves.watch.finish()
            if not self._connection.leaves:
                return self._done(value)
        except TrialEnded:
            self._connection.leaves = True
        except BaseException as error:
            if not self._connection.leaves:
                found = self._saves.news()
                if _is_pruned(error):
                    return Pruned(found, Leftover())
                return TrainingFailed(*_described(error), found, Leftover())
        return Left(Leftover())

    def _train(self) -> float | None:
        self._connection.ask(self._saves.restore())
        function = import_function("trainer", self._load.trainer, import_with_state)
        _freeze_modules()
        try:
            trial = self._trial()
            returned = function(trial)
            if isinstance(trial, Trial) and not self._connection.leaves:
                trial.end_epoch()
        finally:
            if os.getpid() != _PID:  # a process that the training has forked: it must not be a second trainer
                os._exit(0)
        if returned is None and self._begin.optuna is not None:
            raise UserError("the objective returned None; one of Optuna's returns a number")
        return None if returned is None else _value(returned)

    def _trial(self) -> Any:
        if self._begin.optuna is None:
            return Trial(self._begin, self._connection, self._saves)
        from hpo.trainer.optuna_trial import optuna_trial

        return optuna_trial(self._begin, self._connection)

    def _done(self, value: float | None) -> Done:
        saves = self._saves
        done = Done(
            value=value,
            found=saves.news(),
            best=saves.write_best(),
            weights_hash=saves.weights_hash(),
            parameters=saves.parameters(),
        )
        saves.checkpoints.wait()
        return replace(done, unsaved=saves.checkpoints.problem)

    def _with_leftover(self, end: Ended) -> Ended:
        """Add what the trial has left in this process, after what can be set back was."""
        gc.collect()
        started = sum(each not in self._threads for each in threading.enumerate())
        return replace(end, leftover=Leftover(started, self._state != fixed_state()))


_modules_frozen = 0


def _freeze_modules() -> None:
    """Spare the garbage collection after each trial what was imported, which stays."""
    global _modules_frozen
    if len(sys.modules) > _modules_frozen:
        _modules_frozen = len(sys.modules)
        gc.collect()
        gc.freeze()


def _is_pruned(error: BaseException) -> bool:
    optuna = sys.modules.get("optuna")
    return optuna is not None and isinstance(error, optuna.TrialPruned)


def _value(returned: Any) -> float:
    if isinstance(returned, list | tuple):
        if len(returned) != 1:
            raise UserError(
                f"the trainer returned {counted(len(returned), 'value')}; hpo optimizes one objective: "
                "return one number"
            )
        returned = returned[0]
    try:
        if isinstance(returned, str | bytes):
            raise TypeError
        return float(returned)
    except (TypeError, ValueError):
        raise UserError(
            f"the trainer returned a {type(returned).__name__}; it returns the trial's value, a number, or "
            "None for the best one that it reported"
        ) from None


def _described(error: BaseException) -> tuple[str, str, str]:
    """Return the cause, the message and the traceback of an error that the user's code raised."""
    message = f"{type(error).__name__}: {_text(error)}"
    kinds = {each.__name__ for each in type(error).__mro__}
    out = "OutOfMemoryError" in kinds or isinstance(error, MemoryError)
    if isinstance(error, RuntimeError) and any(sign in message for sign in _MEMORY_SIGNS):
        out = True
    return "out_of_memory" if out else "error", _bounded(message), _bounded(users_traceback(error))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(it has no text: its __str__ fails)"


def _bounded(text: str) -> str:
    """Return a text that any database takes: printable, without passwords, and not long."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} [...] {text[-_LONGEST // 2 :]}"
    return redact(printable(text))


def users_traceback(error: BaseException) -> str:
    """Return the traceback of an error without the lines of hpo."""
    whole = traceback.TracebackException.from_exception(error)
    part: traceback.TracebackException | None = whole
    while part is not None:
        own = [each for each in part.stack if not _is_of_hpo(each.filename)]
        part.stack = traceback.StackSummary.from_list(own)
        part = part.__cause__ or part.__context__
    return "".join(whole.format())


def _is_of_hpo(file: str) -> bool:
    return Path(file).is_relative_to(_PACKAGE) or file.startswith("<frozen")


def _leave(signum: int, frame: FrameType | None) -> None:
    if os.getpid() != _PID:  # a process that the training has forked
        os._exit(128 + signum)
    raise TrialEnded("this worker stops")


_PID = os.getpid()


def _prepare_torch(threads: int, seed: int) -> None:
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    add_torch()


def _limit_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, str(threads))


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process with its worker; elsewhere it ends when it next reports."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(1)
