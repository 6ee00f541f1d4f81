"""The trainer process's side of the conversation with its worker."""

from __future__ import annotations

import os
import time

from hpo.errors import UserError
from hpo.trainer.messages import Alive, Channel, Continue, End, Stop, ToWorker

BEAT_SECONDS = 0.5
HUNG_UP = 119
"""Exit code of a process without a connection to its worker."""


class TrialEnded(BaseException):
    """The trial ends here: a pruner, a check, a limit or `hpo stop` has ended it, or its worker stops.

    Not an ``Exception``, so ``except Exception`` lets it pass; clean up in ``finally``.
    """


class Connection:
    """Reports to the worker; a worker that is gone ends this process."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._owner = os.getpid()
        self._beat_at = 0.0
        self.leaves = False
        """Whether the trial must be left."""
        self._reason = "this worker stops"

    def refuse_forked(self) -> None:
        """Raise ``UserError`` in a process that the training has forked: it shares this connection."""
        if os.getpid() != self._owner:
            raise UserError("only the process of the trial can report, not one that it has forked")

    def send(self, message: ToWorker) -> None:
        """Send a message that needs no reply."""
        try:
            self._channel.send(message)
        except OSError:
            os._exit(HUNG_UP)

    def ask(self, message: ToWorker) -> bool:
        """Send a message and wait for the reply; return whether the pruner ends the trial.

        Raises ``TrialEnded`` if the reply says so.
        """
        self.send(message)
        while not self.leaves:
            reply = self._take()
            if reply is not None:
                return reply.prunes
        raise TrialEnded(self._reason)

    def check(self) -> None:
        """Tell the worker of progress. Raises ``TrialEnded`` if the trial must be left."""
        self.beat()
        if self.must_leave():
            raise TrialEnded(self._reason)

    def beat(self) -> None:
        """Tell the worker that the training makes progress, at most twice a second."""
        now = time.monotonic()
        if now - self._beat_at >= BEAT_SECONDS and os.getpid() == self._owner:
            self._beat_at = now
            self.send(Alive())

    def must_leave(self) -> bool:
        """Whether the worker has asked to leave the trial."""
        while not self.leaves and os.getpid() == self._owner and self._channel.waiting():
            self._take()
        return self.leaves

    def _take(self) -> Continue | None:
        """Take a message; return it if it says to continue."""
        try:
            message = self._channel.receive()
        except (EOFError, OSError):
            os._exit(HUNG_UP)
        if isinstance(message, End):
            self._reason = message.reason
        self.leaves = self.leaves or isinstance(message, End | Stop)
        return message if isinstance(message, Continue) else None
