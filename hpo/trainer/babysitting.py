"""The babysitter of the user's own training: what it has found, and its state in a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpo.checks.preflight import Snapshot
from hpo.trainer.messages import Found
from hpo.trainer.states import pack, unpack

if TYPE_CHECKING:  # loads PyTorch
    from hpo.checks.babysitter import Babysitter
    from hpo.checks.state import BabysitterState
    from hpo.integrations.feed import Feed

EXAMPLES, LOSSES, FEED = "babysitter.examples", "babysitter.losses", "babysitter.feed"
KEPT = "babysitter.kept"


class Watch:
    """The babysitter of a trial, if it has one: what it has found, and how much of that the worker knows."""

    def __init__(self, parameters: Collection[str] = ()) -> None:
        """``parameters`` are the names of what the study tunes: remedies name these."""
        self._parameters = parameters
        self.babysitter: Babysitter | None = None
        self.finding_epochs: list[int] = []
        """For each finding that the worker knows, the number of epochs that were complete."""
        self.layer_epochs: list[int] = []
        self._advice = ""
        self._loop: Feed | None = None
        """What shows the loop to the babysitter; None if the training does."""
        self._state: BabysitterState | None = None
        self._examples: tuple[Any, Any] = (None, None)
        self._feed: Any = None

    @property
    def is_fatal(self) -> bool:
        """Whether it has found that the training is hopeless."""
        found = [] if self.babysitter is None else self.babysitter.findings
        return any(each.severity == "fatal" for each in found)

    def begin(self, babysitter: Babysitter, loop: Feed | None = None, advice: str = "") -> None:
        """Watch the training with this babysitter; restore it if the trial is resumed.

        ``advice`` says how the training tells it a loss, if it has to.
        """
        from hpo.checks.plain_words import Vocabulary

        self.babysitter, self._loop, self._advice = babysitter, loop, advice
        babysitter.vocabulary = Vocabulary(self._parameters)
        if self._state is None:
            return
        device = babysitter.device
        inputs, labels = (_moved(each, device) for each in self._examples)
        babysitter.load_state_dict(self._state, inputs, labels)
        if loop is not None and self._feed is not None:
            loop.resume(_moved(self._feed, device))

    def end_epoch(self, metrics: Mapping[str, Any]) -> None:
        """Pass on the metrics of an epoch."""
        if self._loop is not None:
            self._loop.end_batch()
            self._loop.end_epoch(metrics)
        elif self.babysitter is not None:
            self.babysitter.epoch(**metrics)

    def finish(self) -> None:
        """Let it judge the whole training."""
        if self._loop is not None:
            self._loop.finish()
        elif self.babysitter is not None and not self.babysitter.seen.ended:
            self.babysitter.after()
        self._note_unseen()

    def _note_unseen(self) -> None:
        """Say so if the training told no loss: silence would be taken for a training without mistakes."""
        watched = self.babysitter
        if watched is None or not self._advice or watched.seen.steps:
            return
        from hpo.checks.notes import unseen

        watched.findings.append(unseen(watched.seen.optimizer_steps, self._advice))

    def close(self) -> None:
        """Remove its hooks."""
        if self.babysitter is not None:
            self.babysitter.close()

    def news(self, epoch: int) -> Found:
        """Return what the worker does not know yet; ``epoch`` epochs are complete."""
        if self.babysitter is None:
            return Found()
        findings = self.babysitter.findings[len(self.finding_epochs) :]
        layers = list(self.babysitter.layers[len(self.layer_epochs) :])
        self.finding_epochs += [epoch] * len(findings)
        self.layer_epochs += [epoch] * len(layers)
        return Found(findings, layers)

    def found_before(self) -> Found:
        """Return what earlier attempts have reported, each with its epoch."""
        if self._state is None:
            return Found()
        findings = zip(self._state.findings, self.finding_epochs, strict=False)
        layers = zip(self._state.seen.snapshots, self.layer_epochs, strict=False)
        return Found(
            [replace(each, epoch=epoch) for each, epoch in findings],
            [_of_epoch(each, epoch) for each, epoch in layers],
        )

    def state(self, arrays: dict[str, Any]) -> Any:
        """Return its state for a checkpoint, with arrays put into ``arrays``; None without a babysitter."""
        if self.babysitter is None:
            return None
        import numpy as np
        from pydantic import TypeAdapter

        from hpo.checks.state import BabysitterState

        feed = None if self._loop is None else self._loop.state()
        state = self.babysitter.state_dict()
        examples = self.babysitter.examples
        both = (None, None) if examples is None else (examples.inputs, examples.labels)
        arrays[LOSSES] = state.seen.losses
        plain = TypeAdapter(BabysitterState).dump_python(
            replace(state, seen=replace(state.seen, losses=np.empty(0)), kept=None)
        )
        examples_of, feed_of = pack(both, EXAMPLES, arrays), pack(feed, FEED, arrays)
        kept = pack(state.kept, KEPT, arrays)
        return {"state": plain, "examples": examples_of, "feed": feed_of, "kept": kept}

    def take(
        self, state: Any, arrays: Mapping[str, Any], finding_epochs: list[int], layer_epochs: list[int]
    ) -> None:
        """Take what ``state`` returned, for the babysitter of the resumed trial."""
        if state is None:
            return
        import numpy as np
        from pydantic import TypeAdapter, ValidationError

        from hpo.checks.state import BabysitterState
        from hpo.errors import CheckpointError

        try:
            found = TypeAdapter(BabysitterState).validate_python(state["state"])
        except (KeyError, ValidationError) as error:
            raise CheckpointError("was written by another version of hpo") from error
        self._state = replace(found, kept=unpack(state.get("kept"), arrays))
        self._state.seen.losses = np.array(unpack({"array": LOSSES}, arrays))
        self._examples, self._feed = unpack(state["examples"], arrays), unpack(state["feed"], arrays)
        self.finding_epochs, self.layer_epochs = finding_epochs, layer_epochs


def _of_epoch(snapshot: Snapshot, epoch: int) -> Snapshot:
    return replace(snapshot, layers=tuple(replace(each, epoch=epoch) for each in snapshot.layers))


def _moved(value: Any, device: Any) -> Any:
    from hpo.checks.measure.nested import mapped

    return mapped(value, lambda tensor: tensor.to(device))
