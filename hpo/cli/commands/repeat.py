"""``hpo repeat``: is a stored result what its configuration gives?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url

if TYPE_CHECKING:
    from hpo.trial.reproduce import Repeat, RepeatedEpoch, Repetition


def repeat(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The trial's number, from 0.", min=0)],
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another device than it was trained on.")
    ] = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Train a stored trial again and say whether it comes out the same; nothing stored is touched.

    With the same code, packages, processor, threads and precision it does so bit for bit on a CPU; what
    differs is said first. The exit code is 1 if it comes out otherwise.
    """
    from dataclasses import asdict

    from hpo.cli.views.lines import to_json
    from hpo.trial.reproduce import Repeat, Repetition

    repeated = Repeat(storage_url(storage), study, number, device)
    if not as_json:
        _print_beginning(repeated)
    epochs: list[RepeatedEpoch] = []
    result: Repetition | None = None
    for each in repeated.run():
        if isinstance(each, Repetition):
            result = each
        else:
            epochs.append(each)
            if not as_json:
                _say(_epoch(each, repeated.epochs))
    assert result is not None
    if as_json:
        typer.echo(
            to_json(
                {
                    "study": study,
                    "number": number,
                    "matches": result.matches,
                    **asdict(result),
                    "differs_from_then": [asdict(each) for each in repeated.differences],
                    "epochs": [asdict(each) for each in epochs],
                }
            )
        )
    else:
        _say(_ending(repeated, epochs, result))
    raise typer.Exit(0 if result.matches else 1)


def _print_beginning(repeated: Repeat) -> None:
    from hpo.reporting import formatting

    trial = repeated.trial
    verdict = f": {trial.verdict}" if trial.verdict else ""
    _say(f"trial {trial.number} of {trial.study}  {trial.state}{verdict}")
    for each in repeated.differences:
        _say(f"differs from then  {each.what}: {each.then} -> {each.now}")
    if not repeated.differences:
        _say("code, packages, processor, threads, precision and images are those of then")
    if repeated.epochs < repeated.configuration.epochs:
        done = f"{repeated.epochs} of {formatting.count(repeated.configuration.epochs, 'epoch')}"
        _say(f"it has {done}: so many are trained again")


def _epoch(epoch: RepeatedEpoch, epochs: int) -> str:
    from hpo.reporting import formatting

    said = ", ".join(f"{name} {then!r} -> {now!r}" for name, (then, now) in epoch.differences.items())
    accuracy = formatting.accuracy(epoch.val_accuracy)
    return f"epoch {epoch.epoch} of {epochs}  val_accuracy {accuracy}  {said or 'the same'}"


def _ending(repeated: Repeat, epochs: list[RepeatedEpoch], result: Repetition) -> str:
    from hpo.reporting import formatting

    first = next((epoch for epoch in epochs if epoch.differences), None)
    if result.matches:
        weights = f", and the weights ({str(result.weights_now)[:12]})" if result.same_weights else ""
        return f"matches: {formatting.count(len(epochs), 'epoch')} are the same, bit for bit{weights}"
    if first is None:
        return (
            f"does not match: the curve is the same, the weights are not ({str(result.weights_then)[:12]} -> "
            f"{str(result.weights_now)[:12]})"
        )
    last = repeated.trial.curve[len(epochs) - 1]
    why = (
        "see what differs from then, above"
        if repeated.differences
        else "nothing that hpo records explains it"
    )
    return (
        f"does not match: it differs from epoch {first.epoch} on; val_accuracy ended at "
        f"{formatting.accuracy(last.val_accuracy)}, "
        f"now at {formatting.accuracy(epochs[-1].val_accuracy)} ({why})"
    )


def _say(line: str) -> None:
    from hpo.cli.console import printable, stdout

    stdout().print(printable(line), soft_wrap=True)
