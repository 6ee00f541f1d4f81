"""The protocol of leases as a model of which every state is visited: two workers, one slot, two epochs.

Each action is one transaction, or something that befalls a worker between two of them. A paused worker is one
whose turn does not come, for however long. `tests/database/test_protocol.py` holds the code to the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

EPOCHS = 2


@dataclass(frozen=True)
class Rules:
    """What the protocol relies on; each can be broken."""

    token_checked: bool = True
    """A write is let through only under the newest token."""
    claim_is_one_transaction: bool = True
    """It reads the token and raises it at once."""
    leases_end: bool = True
    rewinds: bool = True
    """Who goes on from an older checkpoint first forgets what was recorded beyond."""
    catches_up: bool = True
    """Who goes on from a checkpoint first records what its epochs are missing in the curve."""


@dataclass(frozen=True)
class Worker:
    doing: str = "idle"
    """idle, claiming (has read the slot; only where a claim is two transactions), beginning, training."""
    token: int = 0
    done: int = 0
    """Epochs that it has trained, or found in a checkpoint."""


@dataclass(frozen=True)
class World:
    slot: str = "waiting"
    token: int = 0
    owner: int | None = None
    """Who claimed last. The database does not know it: the properties are about it."""
    ran_out: bool = False
    curve: tuple[int, ...] = ()
    """The epochs as they were recorded."""
    checkpoint: int = 0
    """The epoch of the newest one; the folder may also be empty, on a machine that does not share it."""
    endings: int = 0
    workers: tuple[Worker, Worker] = (Worker(), Worker())


class BrokenError(Exception):
    """A safety property does not hold."""


def actions(world: World, rules: Rules) -> Iterator[World]:
    """All that may happen next. Raises ``BrokenError``."""
    if world.slot == "running" and not world.ran_out and rules.leases_end:
        yield replace(world, ran_out=True)
    for index, worker in enumerate(world.workers):
        if worker.doing != "idle":
            yield _with(world, index, Worker())  # killed, and another process in its place
        if worker.doing == "idle":
            yield from _claim(world, index, rules)
        elif worker.doing == "claiming":
            yield from _claimed(world, index, worker.token)
        else:
            yield from _at_work(world, index, rules)


def _claim(world: World, index: int, rules: Rules) -> Iterator[World]:
    if world.slot == "waiting" or (world.slot == "running" and world.ran_out):
        if rules.claim_is_one_transaction:
            yield from _claimed(world, index, world.token + 1)
        else:
            yield _with(world, index, Worker("claiming", world.token + 1))


def _claimed(world: World, index: int, token: int) -> Iterator[World]:
    taken = replace(world, slot="running", token=token, owner=index, ran_out=False)
    for found in {0, world.checkpoint}:
        yield _with(taken, index, Worker("beginning", token, found))


def _at_work(world: World, index: int, rules: Rules) -> Iterator[World]:
    worker = world.workers[index]
    held = world.slot == "running" and (worker.token == world.token or not rules.token_checked)
    if not held:  # refused: it drops the trial quietly
        yield _with(world, index, Worker())
        return
    renewed = replace(world, ran_out=False)
    yield renewed
    written = list(_writes(renewed, index, worker, rules))
    if world.owner != index:
        raise BrokenError(f"a write of a former owner is accepted: {world}")
    yield from written
    yield _with(replace(world, slot="waiting", ran_out=False), index, Worker())  # it was asked to stop


def _writes(world: World, index: int, worker: Worker, rules: Rules) -> Iterator[World]:
    if worker.doing == "beginning":
        curve = world.curve[: worker.done] if rules.rewinds else world.curve
        yield _with(replace(world, curve=curve), index, replace(worker, doing="training"))
    elif rules.catches_up and len(world.curve) < worker.done:
        yield replace(world, curve=(*world.curve, len(world.curve) + 1))
    elif worker.done < EPOCHS:
        epoch = worker.done + 1
        trained = replace(worker, done=epoch)
        # The checkpoint comes first; the worker may die before the record.
        yield _with(replace(world, checkpoint=max(world.checkpoint, epoch)), index, Worker())
        curve = (*world.curve, epoch)
        if epoch in world.curve and rules.rewinds:
            raise BrokenError(f"an epoch is recorded twice: {world}")
        yield _with(replace(world, curve=curve, checkpoint=max(world.checkpoint, epoch)), index, trained)
    else:
        yield _with(replace(world, slot="done", endings=world.endings + 1), index, Worker())


def _with(world: World, index: int, worker: Worker) -> World:
    workers = list(world.workers)
    workers[index] = worker
    return _relative(replace(world, workers=(workers[0], workers[1])))


def _relative(world: World) -> World:
    """Tokens by how old they are: all that matters of them, and finite."""
    behind = [replace(each, token=max(each.token - world.token, -1)) for each in world.workers]
    return replace(world, token=0, workers=(behind[0], behind[1]))


def explore(rules: Rules) -> dict[World, set[World]]:
    """Every state that can come, the nearest first, and what may follow it. Raises ``BrokenError``."""
    seen: dict[World, set[World]] = {}
    ahead = deque([World()])
    while ahead:
        world = ahead.popleft()
        if world in seen:
            continue
        _check(world)
        followers = list(actions(world, rules))
        seen[world] = set(followers)
        ahead += followers
    return seen


def _check(world: World) -> None:
    if world.endings > 1:
        raise BrokenError(f"a trial ends twice: {world}")
    if world.slot == "done" and world.curve != tuple(range(1, EPOCHS + 1)):
        raise BrokenError(f"the curve of an ended trial has holes or doubles: {world}")


def lost(seen: dict[World, set[World]]) -> set[World]:
    """States from which the trial can never end, whatever happens."""
    before: dict[World, set[World]] = {}
    for world, followers in seen.items():
        for each in followers:
            before.setdefault(each, set()).add(world)
    ahead = [world for world in seen if world.slot == "done"]
    ends = set(ahead)
    while ahead:
        earlier = before.get(ahead.pop(), set()) - ends
        ends |= earlier
        ahead += earlier
    return set(seen) - ends


def test_no_two_owners_no_double_epoch_no_lost_slot_in_any_state() -> None:
    seen = explore(Rules())
    assert len(seen) > 200
    assert any(each.slot == "done" for each in seen)
    # Among them: a paused worker that wakes up when another has its slot, or has ended the trial.
    assert any(world.slot == "done" and world.workers[0].doing == "training" for world in seen)
    assert lost(seen) == set()


@pytest.mark.parametrize(
    ("rules", "broken"),
    [
        (Rules(token_checked=False), "a write of a former owner is accepted"),
        (Rules(claim_is_one_transaction=False), "a write of a former owner is accepted"),
        (Rules(rewinds=False), "the curve of an ended trial has holes or doubles"),
        (Rules(catches_up=False), "the curve of an ended trial has holes or doubles"),
    ],
)
def test_without_one_of_its_rules_the_protocol_is_found_broken(rules: Rules, broken: str) -> None:
    with pytest.raises(BrokenError, match=broken):
        explore(rules)


def test_if_leases_did_not_end_a_slot_could_be_lost() -> None:
    assert lost(explore(Rules(leases_end=False)))
