"""``hpo repeat``: train a stored trial again and compare the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, StudyName, TrialNumber, storage_url

if TYPE_CHECKING:
    from hpo.config.objective import Objective
    from hpo.trial.reproduce import Repeat, RepeatedEpoch, Repetition
    from hpo.trial.reproduce_own import RepeatOwn


def repeat(
    study: StudyName,
    number: TrialNumber,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another device than the trial's.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Train a stored trial again and compare the results.

    With the same code, packages, processor, threads and precision they are equal bit for bit on a CPU; it
    prints what differs before it trains. It writes nothing. The exit code is 1 if the results differ.
    """
    from dataclasses import asdict

    from hpo.cli.console import print_json, print_line
    from hpo.trial.reproduce import Repetition
    from hpo.trial.reproduce_own import find_repeat

    repeated = find_repeat(storage_url(storage), study, number, device)
    if not as_json:
        _print_start(repeated)
    epochs: list[RepeatedEpoch] = []
    result: Repetition | None = None
    for each in repeated.run():
        if isinstance(each, Repetition):
            result = each
        else:
            epochs.append(each)
            if not as_json:
                print_line(_epoch(each, repeated))
    assert result is not None
    reason = "" if result.matches else repeated.explanation()
    if as_json:
        print_json(
            {
                "study": study,
                "number": number,
                "matches": result.matches,
                **asdict(result),
                "reason": reason or None,
                "differs_from_then": [asdict(each) for each in repeated.differences],
                "epochs": [asdict(each) for each in epochs],
            }
        )
    else:
        print_line(_result(repeated, epochs, result, reason))
        if reason:
            print_line(reason)
    raise typer.Exit(0 if result.matches else 1)


def _print_start(repeated: Repeat | RepeatOwn) -> None:
    from hpo.cli.console import print_line
    from hpo.reporting import formatting
    from hpo.trial.reproduce import Repeat

    trial = repeated.trial
    verdict = f": {trial.verdict}" if trial.verdict else ""
    print_line(f"trial {trial.number} of {trial.study}  {trial.state}{verdict}")
    for each in repeated.differences:
        print_line(f"different now  {each.what}: {each.then} -> {each.now}")
    if not repeated.differences:
        images = "threads, precision and images" if isinstance(repeated, Repeat) else "and threads"
        print_line(f"code, packages, processor, {images} are the same as then")
    budget = repeated.configuration.epochs or 0
    if repeated.epochs < budget and trial.state != "complete":
        done = f"{repeated.epochs} of {formatting.counted(budget, 'epoch')}"
        print_line(f"it ended after {done}: these are trained again")


def _epoch(epoch: RepeatedEpoch, repeated: Repeat | RepeatOwn) -> str:
    goal = repeated.trial.goal
    differences = ", ".join(f"{name} {then!r} -> {now!r}" for name, (then, now) in epoch.differences.items())
    value = goal.text(epoch.value)
    return f"epoch {epoch.epoch} of {repeated.epochs}  {goal.metric} {value}  {differences or 'the same'}"


def _result(
    repeated: Repeat | RepeatOwn, epochs: list[RepeatedEpoch], result: Repetition, reason: str
) -> str:
    from hpo.reporting import formatting

    goal, trial = repeated.trial.goal, repeated.trial
    first = next((epoch for epoch in epochs if epoch.differences), None)
    if result.matches:
        return f"matches bit for bit: {_matching(epochs, result, goal)}"
    if result.failure:
        return f"does not match: {result.failure}"
    if first is None and result.same_curve is False:
        return f"does not match: {formatting.counted(len(epochs), 'epoch')} now, {repeated.epochs} then"
    if first is None and result.same_value is False:
        then, now = result.value_then, result.value_now
        return f"does not match: the value was {then!r} then, now {now!r}"
    if first is None:
        return (
            f"does not match: the curve is the same, the weights are not ({str(result.weights_then)[:12]} -> "
            f"{str(result.weights_now)[:12]})"
        )
    last = trial.curve[min(len(epochs), len(trial.curve)) - 1]
    why = (
        "the reason is below"
        if reason
        else "see the differences above"
        if repeated.differences
        else "nothing that hpo records explains the difference"
    )
    return (
        f"does not match: it differs from epoch {first.epoch} on; final {goal.metric} "
        f"{goal.text(goal.of(last))} then, now {goal.text(epochs[-1].value)} ({why})"
    )


def _matching(epochs: list[RepeatedEpoch], result: Repetition, goal: Objective) -> str:
    """List what is the same."""
    from hpo.reporting import formatting

    same = [formatting.counted(len(epochs), "epoch")] if epochs else []
    if result.same_value:
        same.append(f"the value ({goal.text(result.value_now)})")
    if result.same_weights:
        same.append(f"the weights ({str(result.weights_now)[:12]})")
    return ", ".join(same[:-1]) + (" and " if same[1:] else "") + same[-1]
