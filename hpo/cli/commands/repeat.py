"""``hpo repeat``: train a stored trial again and compare the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, StudyName, TrialNumber, storage_url

if TYPE_CHECKING:
    from hpo.trial.reproduce import Repeat, RepeatedEpoch, Repetition


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
    from hpo.trial.reproduce import Repeat, Repetition

    repeated = Repeat(storage_url(storage), study, number, device)
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
                print_line(_epoch(each, repeated.epochs))
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


def _print_start(repeated: Repeat) -> None:
    from hpo.cli.console import print_line
    from hpo.reporting import formatting

    trial = repeated.trial
    verdict = f": {trial.verdict}" if trial.verdict else ""
    print_line(f"trial {trial.number} of {trial.study}  {trial.state}{verdict}")
    for each in repeated.differences:
        print_line(f"different now  {each.what}: {each.then} -> {each.now}")
    if not repeated.differences:
        print_line("code, packages, processor, threads, precision and images are the same as then")
    if repeated.epochs < repeated.configuration.epochs:
        done = f"{repeated.epochs} of {formatting.counted(repeated.configuration.epochs, 'epoch')}"
        print_line(f"it ended after {done}: these are trained again")


def _epoch(epoch: RepeatedEpoch, epochs: int) -> str:
    from hpo.reporting import formatting

    differences = ", ".join(f"{name} {then!r} -> {now!r}" for name, (then, now) in epoch.differences.items())
    accuracy = formatting.accuracy(epoch.val_accuracy)
    return f"epoch {epoch.epoch} of {epochs}  val_accuracy {accuracy}  {differences or 'the same'}"


def _result(repeated: Repeat, epochs: list[RepeatedEpoch], result: Repetition, reason: str) -> str:
    from hpo.reporting import formatting

    first = next((epoch for epoch in epochs if epoch.differences), None)
    if result.matches:
        weights = f" and the weights ({str(result.weights_now)[:12]})" if result.same_weights else ""
        return f"matches bit for bit: {formatting.counted(len(epochs), 'epoch')}{weights}"
    if first is None:
        return (
            f"does not match: the curve is the same, the weights are not ({str(result.weights_then)[:12]} -> "
            f"{str(result.weights_now)[:12]})"
        )
    last = repeated.trial.curve[len(epochs) - 1]
    why = (
        "the reason is below"
        if reason
        else "see the differences above"
        if repeated.differences
        else "nothing that hpo records explains the difference"
    )
    return (
        f"does not match: it differs from epoch {first.epoch} on; final val_accuracy "
        f"{formatting.accuracy(last.val_accuracy)} then, "
        f"now {formatting.accuracy(epochs[-1].val_accuracy)} ({why})"
    )
