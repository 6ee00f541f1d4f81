"""``hpo importance``: which hyperparameters matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.cli.options import Json, Storage, StudyName, storage_url

if TYPE_CHECKING:
    from rich.text import Text

    from hpo.config.objective import Objective
    from hpo.diagnosis.base import StudyResults
    from hpo.diagnosis.importance import Answer


def importance(
    study: StudyName,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Show which hyperparameters matter.

    They can decide whether a trial trains, how well, and whether it is among the best. Each has its share of
    the variance and a p-value: the chance of such a share without any effect. Only effects beyond chance get
    a statement.
    """
    from hpo.cli.database import results
    from hpo.diagnosis.importance import importance
    from hpo.diagnosis.ped_anova import best_tenth_shares
    from hpo.diagnosis.trials import study_results

    with results(storage_url(storage)) as engine:
        found = study_results(engine, study)
    answers, tenth = importance(found), best_tenth_shares(found)
    if as_json:
        _print_json(found, answers, tenth)
    else:
        _print_text(found, answers, tenth)


def as_dict(answers: list[Answer]) -> list[dict[str, object]]:
    """Return the answers for programs."""
    from dataclasses import asdict

    return [{**asdict(each), "statements": each.statements} for each in answers]


def _print_json(found: StudyResults, answers: list[Answer], tenth: dict[str, float]) -> None:
    from hpo.cli.console import print_json

    print_json(
        {
            "study": found.spec.study,
            "trials": len(found.trials),
            "answers": as_dict(answers),
            "best_tenth": tenth,
        }
    )


def _print_text(found: StudyResults, answers: list[Answer], tenth: dict[str, float]) -> None:
    from rich.text import Text

    from hpo.cli.console import printable, stdout
    from hpo.cli.views.tables import table_that_fits
    from hpo.reporting import formatting

    console = stdout()
    failed = sum(map(found.failed, found.trials))
    trials = formatting.counted(len(found.trials), "trial")
    console.print(Text(printable(f"{found.spec.study}  {trials}, {failed} of which failed or did not learn")))
    if not answers:
        console.print("too few finished trials to tell what matters")
        return
    names = list(dict.fromkeys(each.name for answer in answers for each in answer.effects))
    columns = {"hyperparameter": [Text(name) for name in names]}
    for answer in answers:
        columns |= _columns(answer, names, found.goal)
    if tenth:
        columns["best tenth"] = [Text(f"{tenth[name]:.0%}" if name in tenth else "–") for name in names]
    console.print()
    console.print(table_that_fits(columns, console.width, left=("hyperparameter",)))
    console.print()
    statements = [statement for answer in answers for statement in answer.statements]
    for statement in statements:
        console.print(Text(printable(statement)), soft_wrap=True)
    if not statements:
        console.print("nothing is beyond chance yet")


def _columns(answer: Answer, names: list[str], goal: Objective) -> dict[str, list[Text]]:
    from rich.text import Text

    title = "trains" if answer.question == "trains" else goal.label.removeprefix("validation ")
    effects = {each.name: each for each in answer.effects}
    shares, chances = [], []
    for name in names:
        effect = effects.get(name)
        style = "bold" if name in answer.sure else "dim"
        shares.append(Text(f"{effect.share:.0%}" if effect else "–", style))
        chances.append(Text(f"{effect.p_value:.2g}" if effect else "–", style))
    return {title: shares, f"p ({title})": chances}
