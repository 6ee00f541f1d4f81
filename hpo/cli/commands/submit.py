"""``hpo submit``: hand a study to whoever serves it."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Json, Storage, storage_url


def submit(
    study: Annotated[
        str,
        typer.Argument(metavar="STUDY", help="A study file, or a bundled one (`hpo studies --bundled`)."),
    ],
    storage: Storage = None,
    priority: Annotated[
        int | None,
        typer.Option(
            min=-1000,
            max=1000,
            metavar="N",
            help="Workers serve studies with a higher one first. [default: 0, or as it was]",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many trials, instead of what the file says."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the file; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a study and its trials into the database, for `hpo worker` anywhere; nothing is trained here.

    Submitting the same study again changes its number of trials or its priority, and nothing else.
    """
    from hpo.cli.commands.run import overrides, say_how_it_searches
    from hpo.cli.console import printable, stdout, to_json
    from hpo.config.parsing.load import load_study
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore
    from hpo.workers.submit import submit_study

    spec = load_study(study, overrides(changes, trials))
    say_how_it_searches(spec)
    with ResultsStore(storage_url(storage)) as store:
        put_in = submit_study(store, spec, priority)
    now = put_in.at_start
    if as_json:
        known = {"study": spec.study, "study_id": put_in.study_id, "trials": now.total, "done": now.done}
        known |= {"priority": put_in.priority, "needs": list(spec.needs), "dataset": put_in.dataset}
        typer.echo(to_json(known))
        return
    done = f", {now.done} of them done" if now.done else ""
    needs = f", needs {' and '.join(spec.needs)}" if spec.needs else ""
    line = f"{spec.study}  {formatting.count(now.total, 'trial')}{done}, priority {put_in.priority}{needs}"
    stdout().print(printable(f"{line}, on {put_in.origin}"), soft_wrap=True)
    stdout().print(printable(f"hpo worker serves it; hpo status {spec.study} --watch shows how it goes"))
