"""``hpo submit``: put a study into the database for workers anywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Changes, Json, Storage, StudyFile, Trials, overrides, storage_url


def submit(
    study: StudyFile,
    storage: Storage = None,
    priority: Annotated[
        int | None,
        typer.Option(
            min=-1000,
            max=1000,
            metavar="N",
            help="Workers serve studies of higher priority first. [default: 0, or unchanged]",
            show_default=False,
        ),
    ] = None,
    trials: Trials = None,
    changes: Changes = None,
    as_json: Json = False,
) -> None:
    """Submit a study for workers on any machine.

    `hpo worker` trains it; this command trains nothing. Submit the same study again to change its number of
    trials or its priority.
    """
    from hpo.cli.console import print_json, print_line, print_warning
    from hpo.cli.views.notices import print_advice
    from hpo.reporting import formatting
    from hpo.storage.store import ResultsStore
    from hpo.training.scripts import load_any_study
    from hpo.workers.submit import submit_study

    spec = load_any_study(study, overrides(changes, trials))
    print_advice(spec)
    with ResultsStore(storage_url(storage)) as store:
        submitted = submit_study(store, spec, priority)
    for warning in submitted.warnings:
        print_warning(warning)
    now = submitted.progress
    if as_json:
        known = {"study": spec.study, "study_id": submitted.study_id, "trials": now.total, "done": now.done}
        known |= {"priority": submitted.priority, "needs": list(spec.needs)}
        known["dataset"] = submitted.dataset or None
        known["warnings"] = list(submitted.warnings)
        print_json(known)
        return
    done = f", {now.done} of them done" if now.done else ""
    needs = f", needs {' and '.join(spec.needs)}" if spec.needs else ""
    line = (
        f"{spec.study}  {formatting.counted(now.total, 'trial')}{done}, priority {submitted.priority}{needs}"
    )
    print_line(f"{line}, {'on ' if submitted.dataset else ''}{submitted.origin}")
    allow = f"HPO_ALLOWED_MODELS={','.join(spec.allowances)} " if spec.allowances else ""
    print_line(f"`{allow}hpo worker` trains it; `hpo status {spec.study} --watch` shows its progress")
