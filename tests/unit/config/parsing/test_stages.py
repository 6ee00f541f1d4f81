"""``stages:`` in study files: what is read, and every mistake with its line; and studies written as files."""

from __future__ import annotations

import textwrap

import pytest

from hpo.config.methods import Asha, Median
from hpo.config.parsing.load import bundled_studies, load_study, parse_study
from hpo.config.study import ConfirmationSettings, StageSpec, StudySpec
from hpo.config.write import study_text
from hpo.errors import StudyFileError

HEAD = """\
study: s
fixed: {epochs: 9, warmup_epochs: 2}
space: {lr: {log: [1e-4, 1]}}
"""


def _parse(stages: str, head: str = HEAD, *overrides: str) -> StudySpec:
    return parse_study(
        head + "stages:\n" + textwrap.indent(textwrap.dedent(stages), "  "), "s.yaml", overrides
    )


def mistakes(stages: str, head: str = HEAD, *overrides: str) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        _parse(stages, head, *overrides)
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


WHOLE = """\
- {name: coarse, trials: 20, epochs: 3, data: 0.25}
- {name: fine, trials: 8, keep: 0.2}
- {name: sure, confirm: {top: 3, seeds: 2, folds: 5}}
"""


def test_stages_are_read_and_add_up() -> None:
    spec = _parse(WHOLE)
    assert spec.stages == (
        StageSpec(name="coarse", trials=20, epochs=3, data=0.25),
        StageSpec(name="fine", trials=8, keep=0.2),
        StageSpec(name="sure", confirm=ConfirmationSettings(top=3, seeds=2, folds=5)),
    )
    # 20 + 8 + 3 x 2 x 5, and the one that is measured on the test images.
    assert spec.trials == 59
    assert _parse("- {name: only, trials: 4}").trials == 4


def test_a_stage_has_its_own_pruner() -> None:
    stages = "- {name: a, trials: 4, pruner: {asha: {reduction: 4}}}\n- {name: b, trials: 4, pruner: none}"
    spec = _parse(f"{stages}\n- {{name: c, trials: 4}}", f"{HEAD}pruner: median\n")
    pruners = [each.pruner and each.pruner.rules for each in spec.stages]
    assert (spec.pruner.rules, pruners) == (Median(), [Asha(reduction=4), None, None])
    assert [each.pruner and each.pruner.name for each in spec.stages] == ["asha", "none", None]
    assert parse_study(study_text(spec), "again.yaml") == spec


def test_the_pruner_of_the_study_must_be_of_use_in_one_stage() -> None:
    head = f"{HEAD}pruner: {{asha: {{min_epochs: 3}}}}\n".replace(", warmup_epochs: 2", "")
    assert _parse("- {name: a, trials: 4, epochs: 2}\n- {name: b, trials: 4}", head).stages[1].pruner is None
    (found,) = mistakes("- {name: a, trials: 4, epochs: 2}\n- {name: b, trials: 4, pruner: none}", head)
    assert found == (
        "s.yaml:4: pruner: asha would never stop a trial: min_epochs is 3, and trials have 2 epochs "
        "(lower min_epochs or raise epochs)"
    )


def test_a_study_with_stages_is_written_and_read_back() -> None:
    spec = _parse(WHOLE)
    assert parse_study(study_text(spec, ["a head"]), "again.yaml") == spec
    assert study_text(spec, ["a head"]).startswith("# a head\n\nstudy: s\n")


@pytest.mark.parametrize("name", bundled_studies())
def test_bundled_studies_are_written_and_read_back(name: str) -> None:
    spec = load_study(name)
    assert parse_study(study_text(spec), "again.yaml") == spec


def test_texts_that_would_be_read_as_something_else_are_quoted() -> None:
    fixed = {"model": "pack.age:net", "data_root": "a b: {c}", "dataset": "folder", "depth": None, "lr": 1e-4}
    spec = StudySpec.model_validate({"study": "s", "trials": 1, "fixed": fixed})
    assert parse_study(study_text(spec), "again.yaml") == spec


@pytest.mark.parametrize(
    ("stages", "mistake"),
    [
        (
            "- {trials: 4}",
            "s.yaml:5: stages: a stage has no name (e.g. - {name: coarse, trials: 20,",
        ),
        ("- {name: a}", "s.yaml:5: stages: stage a has no trials (e.g. trials: 20)"),
        ("- {name: a, trials: 4, epoch: 3}", "s.yaml:5: stages: unknown key 'epoch' (did you mean epochs?)"),
        ("- {name: a, trials: 0}", "s.yaml:5: trials: 0 is below 1, the smallest allowed"),
        ("- {name: a, trials: 4, data: 0}", "s.yaml:5: data: 0 is not above 0"),
        ("- {name: a, trials: 4, keep: 0}", "s.yaml:5: keep: 0 is not above 0"),
        (
            "- {name: test, trials: 4}",
            "s.yaml:5: stages: test is not a valid stage name (it follows a confirmation",
        ),
        ("- {name: a/b, trials: 4}", "s.yaml:5: stages: 'a/b' is not a valid stage name (letters, digits"),
        ("- coarse", "s.yaml:5: stages: 'coarse' is not a stage"),
        (
            "- {name: a, trials: 4}\n- {name: a, trials: 4}",
            "s.yaml:6: stages: there is another stage a (names must differ)",
        ),
        (
            "- {name: a, trials: 4, epochs: 1}",
            "s.yaml:5: warmup_epochs: in stage a: a warm-up of 2 epochs is longer than the training",
        ),
        (
            "- {name: a, trials: 2}\n- {name: b, confirm: {top: 3}}",
            "s.yaml:6: stages: b confirms the best 3, but only 2 trials come before it (top: 2 or less)",
        ),
        ("- {name: b, confirm: {top: 3}}", "s.yaml:5: stages: b confirms the best 3, but only 0 trials"),
        (
            "- {name: a, trials: 4}\n- {name: b, trials: 3, confirm: {top: 3}}",
            "s.yaml:6: stages: trials cannot be combined with confirm",
        ),
        (
            "- {name: a, trials: 4}\n- {name: b, pruner: asha, confirm: {top: 3}}",
            "s.yaml:6: stages: pruner cannot be combined with confirm (confirming trials run to the end)",
        ),
        (
            "- {name: a, trials: 4, pruner: ahsa}",
            "s.yaml:5: pruner: 'ahsa' is not one of: none, asha, hyperband, median (did you mean asha?)",
        ),
        ("- {name: a, trials: 4, pruner: }", "s.yaml:5: pruner: has no value (did you mean none?)"),
        (
            "- {name: a, trials: 4, pruner: {asha: {redction: 3}}}",
            "s.yaml:5: pruner: asha has no option 'redction' (did you mean reduction?)",
        ),
        (
            "- {name: a, trials: 4, epochs: 3, pruner: {asha: {min_epochs: 3}}}",
            "s.yaml:5: pruner: asha would never stop a trial: min_epochs is 3, and trials have 3 epochs",
        ),
        (
            "- {name: a, trials: 4}\n- {name: b, confirm: {top: 1, seeds: 1}}",
            "s.yaml:6: confirm: one training of each configuration cannot tell luck from quality",
        ),
        (
            "- {name: a, trials: 4}\n- {name: b, confirm: {folds: 1}}",
            "s.yaml:6: confirm: folds: 1 leaves no images to train on",
        ),
        ("- {name: a, trials: 4}\n- {name: b, confirm: {tops: 1}}", "s.yaml:6: confirm: unknown key 'tops'"),
        (
            "- {name: a, trials: 4, space: around}",
            "s.yaml:5: stages: a has space: around, but no stage comes before it (it is for",
        ),
        ("- {name: a, trials: 4, carry: 1}", "s.yaml:5: stages: a has carry, but no stage comes before it"),
        (
            "- {name: a, trials: 4}\n- {name: b, trials: 9, carry: 5}",
            "s.yaml:6: stages: b starts with the best 5, but only 4 trials come before it (carry: 4 or less)",
        ),
        (
            "- {name: a, trials: 4}\n- {name: b, trials: 2, carry: 3}",
            "s.yaml:6: stages: b starts with the best 3, but it has 2 trials (carry: 2 or less)",
        ),
        ("- {name: a, trials: 4}\n- {name: b, trials: 2, carry: -1}", "s.yaml:6: carry: -1 is below 0"),
        (
            "- {name: a, trials: 4}\n- {name: b, trials: 2, space: near}",
            "s.yaml:6: space: 'near' is not one of: refine, around, same",
        ),
        (
            "- {name: a, trials: 4}\n- {name: b, confirm: {}, carry: 1}",
            "s.yaml:6: stages: carry cannot be combined with confirm",
        ),
        (
            "- {name: a, trials: 4}\n- {name: b, confirm: {}}\n- {name: c, trials: 1}",
            "s.yaml:7: stages: c follows the confirmation (confirm is the last stage)",
        ),
    ],
)
def test_every_mistake_is_reported_with_its_line(stages: str, mistake: str) -> None:
    (found,) = mistakes(stages)
    assert found.startswith(mistake)


def test_what_stages_set_is_not_searched_and_there_is_a_space() -> None:
    searched = "study: s\nspace: {epochs: {int: [2, 4]}, train_images: {int: [500, 900]}}\n"
    found = mistakes("- {name: a, trials: 4, epochs: 3, data: 0.5}", searched)
    assert found == [
        "s.yaml:4: stages: a sets epochs, but epochs is searched (leave epochs out of space)",
        "s.yaml:4: stages: a sets data, but train_images is searched (leave train_images out of space)",
    ]
    assert mistakes("- {name: a, trials: 4}", "study: s\n") == [
        "s.yaml:3: stages: stages need a space to search (add space:)"
    ]


def test_trials_are_those_of_the_stages() -> None:
    (found,) = mistakes("- {name: a, trials: 4}", HEAD, "trials=9")
    assert found == (
        "--set trials=9: trials: 9 differs from the sum of the stages, 4 (leave it out, and set the trials "
        "of each stage)"
    )
