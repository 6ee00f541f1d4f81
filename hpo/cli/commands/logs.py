"""``hpo logs``: the history of a trial."""

from __future__ import annotations

from dataclasses import asdict

from hpo.cli.options import Json, Storage, StudyName, TrialNumber, storage_url


def logs(
    study: StudyName,
    number: TrialNumber,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Print the history of a trial and its output.

    In order of time: attempts, epochs, findings, the output of its workers, verdict and traceback.
    """
    from rich.text import Text

    from hpo.cli.console import print_json, printable, stdout
    from hpo.cli.database import results
    from hpo.cli.views.tables import SEVERITY_STYLES
    from hpo.queries.trial import trial_log

    with results(storage_url(storage)) as engine:
        entries = trial_log(engine, study, number)
    if as_json:
        print_json([asdict(each) for each in entries])
        return
    console = stdout()
    for each in entries:
        at = f"{each.time:%Y-%m-%d %H:%M:%S}" if each.time else " " * 19
        first, *rest = each.text.splitlines() or [""]
        label = "printed: " if each.kind == "printed" else f"{each.severity} " if each.severity else ""
        by = f"  ({each.worker})" if each.kind in ("begun", "ended") else ""
        style = SEVERITY_STYLES.get(each.severity, "")
        line = Text.assemble((at, "dim"), "  ", (printable(label + first), style), (printable(by), "dim"))
        console.print(line, soft_wrap=True)
        for more in rest:
            console.print(Text(f"{'':21}{printable(more)}"), soft_wrap=True)
