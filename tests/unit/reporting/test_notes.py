from __future__ import annotations

from sqlalchemy import Engine

from hpo.queries.study import study_overview
from hpo.records import StudyFinding
from hpo.reporting.notes import best_trials, escaped, has_problem, study_note, trial_note

FINDING = StudyFinding("noise", "note", "the best 2 cannot be told apart", {}, "train them *again*", {})


def test_escaped_leaves_no_markup() -> None:
    text = "a_b *c* [x](http://e) ![y](z) <i> | `d`\n# e \x1b[31m"
    assert escaped(text) == (r"a\_b \*c\* \[x\]\(http:\//e\) \!\[y\]\(z\) \<i\> \| \`d\` \# e \\x1b\[31m")


def test_study_note_lists_best_trials_and_problems_by_cause(watched: Engine) -> None:
    overview = study_overview(watched, "watched")
    best = best_trials(overview)
    values = [trial.value for trial in best if trial.value is not None]
    assert len(values) == len(best) == 5 and values == sorted(values, reverse=True)
    note = study_note(overview, [FINDING], study_id=7)
    link = f"[{best[0].number}](/dashboard/studies/7/trials?numbers={best[0].number})"
    assert f"| {link} | {best[0].value:.4f} |" in note
    exploded = sum(trial.cause == "lr_too_high" for trial in overview.trials)
    assert f"| learning rate too high | {exploded} | " in note
    assert note.index("learning rate too high") < note.index("| error | 1 | [5]")
    assert note.endswith("- the best 2 cannot be told apart. **Try:** train them \\*again\\*")


def test_has_problem_is_false_for_pruned_and_running_trials(watched: Engine) -> None:
    trials = study_overview(watched, "watched").trials
    assert not has_problem(trials[2]) and not has_problem(trials[23])
    assert has_problem(trials[5])


def test_trial_note_names_the_rank(watched: Engine) -> None:
    overview = study_overview(watched, "watched")
    best = best_trials(overview)[0]
    note = trial_note(best, ["lr", "momentum"], rank=1)
    assert note.startswith(f"**The best trial**: validation accuracy {best.value:.4f} in epoch 4.")
    assert "Healthy" in note and "Try" not in note
    assert trial_note(best, ["lr"], rank=3).startswith("**Rank 3 of all trials**")
