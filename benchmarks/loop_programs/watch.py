"""What a program gets: its settings, its mistake, and an optional watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

CAUGHT = (Exception, SystemExit)
CONFIGURED = ("lr", "momentum", "weight_decay", "dropout", "gradient_clip")
"""Settings of programs that are fields of hpo's configuration."""


class Sitter:
    """Passes every call on to the babysitter, if there is one, and remembers what came back."""

    def __init__(self, make: Callable[[], Any] | None, record: Record) -> None:
        self._record = record
        self._babysitter = self._safely("Babysitter", make) if make is not None else None
        record.babysitter = self._babysitter

    def before(self, *examples: object, **more: object) -> None:
        """Examples as the loader gives them."""
        self._call("before", *examples, **more)

    def step(self, *numbers: object) -> None:
        """The loss of a step, and the labels of its batch."""
        self._call("step", *numbers)

    def epoch(self, **numbers: object) -> None:
        """What the loop measures at the end of an epoch."""
        self._call("epoch", **numbers)

    def after(self) -> None:
        """The end."""
        self._call("after")
        self._record.ended = True

    def _call(self, method: str, *arguments: object, **more: object) -> None:
        if self._babysitter is None:
            return
        result = self._safely(method, lambda: getattr(self._babysitter, method)(*arguments, **more))
        for finding in result if isinstance(result, Iterable) else [result]:
            self._record.stopped |= getattr(finding, "severity", "") == "fatal"

    def _safely(self, what: str, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except CAUGHT as error:
            self._record.raised.append(f"{what}: {type(error).__name__}: {error}"[:200])
            return None


class Record:
    """What happened between a program and its babysitter."""

    def __init__(self) -> None:
        self.babysitter: Any = None
        self.raised: list[str] = []
        self.stopped = False
        self.ended = False


class Watch:
    """Made for each run of a program; called by the program once it has a model and an optimizer.

    ``watch.fault`` is the mistake to make, "" for none; ``watch.NAME`` is the setting NAME.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        fault: str = "",
        babysitter: Callable[..., Any] | None = None,
        omit: Iterable[str] = (),
    ) -> None:
        self._settings, self.fault = dict(settings), fault
        self._babysitter, self._omit = babysitter, frozenset(omit)
        self.record = Record()

    def __getattr__(self, name: str) -> Any:
        """The setting ``name``."""
        try:
            return self.__dict__["_settings"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __call__(self, model: Any, optimizer: Any, **arguments: Any) -> Sitter:
        """Start to watch; ``arguments`` are those of Babysitter that the loop has at hand."""
        make = self._babysitter
        if make is None:
            return Sitter(None, self.record)
        arguments["configuration"] = {n: value for n, value in self._settings.items() if n in CONFIGURED}
        given = {name: value for name, value in arguments.items() if name not in self._omit}
        return Sitter(lambda: make(model, optimizer, **given), self.record)
