"""Study files whose trials are trained by a function or a command of the user's."""
# ruff: noqa: E501 - a row of the table is easier to read on one line

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from hpo.config.own_training import TrialLimits, UserConfiguration, memory_bytes, memory_text
from hpo.config.parsing.assignments import read_assignments, surprises
from hpo.config.parsing.load import parse_study
from hpo.config.parsing.own_training import placeholders
from hpo.config.schema import study_schema
from hpo.config.study import StudySpec, planned_trials
from hpo.config.write import study_text
from hpo.errors import StudyFileError, UserError

FUNCTION = "study: s\ntrials: 4\ntrainer: my_package.train:run\n"
COMMAND = "study: s\ntrials: 4\n"
TEXT = (
    FUNCTION
    + """limits: {minutes: 20, memory: 4GB}
fixed: {epochs: 30, dataset: mine, penalty: 0}
space:
  lr: {log: [1e-4, 1e-1]}
  layers: {int: [1, 3]}
  width: {choice: [16, 32]}
  optimizer: {choice: [none, sgd, null]}
  momentum: {uniform: [0.5, 1], when: {optimizer: sgd}}
first: [{lr: 1, optimizer: none}]
"""
)


def study(text: str, *overrides: str) -> StudySpec:
    return parse_study(text, "s.yaml", overrides)


def mistakes(text: str, *overrides: str) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        study(text, *overrides)
    return [line.strip().removeprefix("s.yaml:") for line in str(caught.value).splitlines()[1:]]


def test_names_of_the_users_own_are_searched_and_fixed() -> None:
    spec = study(TEXT)
    assert (spec.kind, spec.is_own, spec.packages) == ("function", True, ("my_package",))
    assert spec.limits == TrialLimits(minutes=20, memory=4_000_000_000)
    assert spec.fixed == {"epochs": 30, "dataset": "mine", "penalty": 0}
    assert spec.space["optimizer"].extremes() == ["none", "sgd", None]
    assert spec.first == ({"lr": 1.0, "optimizer": "none"},)
    assert spec.trial_costs == ((4, 30.0),)
    assert study(study_text(spec)) == spec
    assert StudySpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


def test_a_configuration_has_only_what_is_drawn_or_fixed() -> None:
    configuration = study(TEXT).configuration({"lr": 0.1, "optimizer": None})
    assert isinstance(configuration, UserConfiguration)
    values = {"epochs": 30, "dataset": "mine", "penalty": 0, "lr": 0.1, "optimizer": None}
    assert configuration.applicable() == values
    assert UserConfiguration.stored(values) == configuration
    assert configuration.epochs == 30
    assert study(FUNCTION).configuration({}).epochs is None


def test_stored_values_that_had_no_effect_are_left_out() -> None:
    spec = study(TEXT)
    document = {"lr": 0.1, "optimizer": None, "momentum": 0.9}
    assert spec.searched(document) == {"lr": 0.1, "optimizer": None}
    assert spec.searched(document | {"optimizer": "sgd"})["momentum"] == 0.9


def test_a_command_names_parameters_in_braces() -> None:
    spec = study(
        COMMAND + "command: [./train, --lr, '{lr}', 'out={trial.folder}', 3]\nspace: {lr: {log: [1, 2]}}"
    )
    assert spec.command == ("./train", "--lr", "{lr}", "out={trial.folder}", "3")
    assert (spec.kind, spec.packages, spec.allowances) == ("command", (), ("./train",))
    assert placeholders("a={lr} {{x}} {trial.folder}") == ["lr", "trial.folder"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            FUNCTION + "command: [a]",
            ["4: command cannot be combined with trainer (a study has one training: keep one of them)"],
        ),
        (
            FUNCTION.replace("my_package.train:run", "my_package.train.run"),
            [
                "3: trainer: 'my_package.train.run' does not have the form package.module:function "
                "(write my_package.train:run)"
            ],
        ),
        (
            FUNCTION.replace("my_package.train:run", "./my/train.py:go"),
            ["3: trainer: './my/train.py:go' does not have the form package.module:function (write my.train:go)"],
        ),
        (
            FUNCTION + "fixed: {2d: 1}\nspace: {for: {int: [1, 2]}}",
            [
                f"{line}: '{name}' is not a valid parameter name "
                "(letters, digits and '_', at most 100, as a name in Python)"
                for line, name in ((4, "2d"), (5, "for"))
            ],
        ),
        (
            FUNCTION + "fixed: {epochs: 1.5}\nspace: {lr: {log: [0, 1]}, w: {int: [1.5, 2]}, d: {choice: [.nan]}}",
            [
                "4: epochs: 1.5 is not a whole number",
                "5: lr: a log scale cannot start at 0 (start above 0, or use uniform)",
                "5: w: 1.5 is not a whole number",
                "5: d: .nan is not a finite number",
            ],
        ),
        (
            FUNCTION + "space:\n  a: {int: [1, 2]}\n  b: {int: [1, 2], when: {d: 1}}\n  c: {int: [1, 2], when: {a: 3}}",
            [
                "6: b: when: unknown hyperparameter 'd'",
                "7: c: is never drawn: a is never 3 in this study (a is drawn from int 1 to 2)",
            ],
        ),
        (
            FUNCTION + "space: {lr: {log: [1, 2]}}\nfirst: [{lr: fast}, {l: 1}, defaults]",
            [
                "5: first: lr: 'fast' is not a number",
                "5: first: unknown hyperparameter 'l' (did you mean lr?)",
                "5: first: your own training has no defaults (list configurations: first: [{lr: 0.05}])",
            ],
        ),
        (
            FUNCTION + "limits: {memory: 4, hours: 1, minutes: 0}",
            [
                "4: limits: unknown limit 'hours' (it has minutes, memory)",
                "4: minutes: 0 is not above 0",
                "4: memory: 4B is below 64MB (did you mean 4GB?)",
            ],
        ),
        (FUNCTION + "limits: {memory: 0}", ["4: memory: 0 is below 64MB"]),
        (
            FUNCTION + "objective: val_loss\ndirection: maximize",
            ["5: direction: maximize would look for the worst val_loss (leave it out, or use minimize)"],
        ),
        (
            FUNCTION + "limits: {memory: lots}",
            ["4: memory: 'lots' is not a size of memory, e.g. 4GB or 512MiB"],
        ),
        (
            FUNCTION + f"limits: {{memory: 1{'0' * 400}GB}}",
            [f"4: memory: '1{'0' * 39}' is not a size of memory, e.g. 4GB or 512MiB"],
        ),
        (
            COMMAND + "command: [a]\nobjective: val/acc",
            ["4: objective: a command cannot report 'val/acc' (letters, digits and '_', as a name in Python)"],
        ),
        (
            FUNCTION + "objective: epoch\ndirection: maximize",
            ["4: objective: epoch is the number of a report's epoch, not a metric (name a metric)"],
        ),
        (
            COMMAND + "limits: {minutes: 1}",
            [
                "3: limits: is for a training of your own: the built-in training has no limits "
                "(add trainer: or command:, or leave it out)"
            ],
        ),
        (
            COMMAND + "command: python train.py --lr {lr}",
            [
                "3: command: is not a list of a program and its arguments "
                '(write command: [python, train.py, --lr, "{lr}"])'
            ],
        ),
        (
            COMMAND + "command: [a, {lr}]",
            [
                '3: command: {lr} without quotes is a mapping: write "{lr}" '
                '(e.g. command: [python, train.py, --lr, "{lr}"])'
            ],
        ),
        (
            COMMAND + "command: [a, '{l}', '{seed}', '{', '{lr:3}']\nspace: {lr: {log: [1, 2]}}",
            [
                "3: command: unknown parameter {l} (did you mean lr?)",
                "3: command: unknown parameter {seed} (did you mean trial.seed?)",
                "3: command: '{' is not readable: Single '{' encountered in format string ({{ and }} stand for braces)",
                "3: command: '{lr:3}' is not readable: {lr} has a format, which is not supported "
                "({{ and }} stand for braces)",
            ],
        ),
        (
            COMMAND + "command: ['./{p}', '{l}']\nspace: {p: {choice: [a, b]}}",
            [
                "3: command: the program './{p}' has braces, and must be the same in each trial "
                '(give the parameter to a script, e.g. [sh, run.sh, "{kind}"])'
            ],
        ),
        (
            COMMAND + "command: [a, '{m}']\nspace:\n  o: {choice: [x, y]}\n  m: {int: [1, 2], when: {o: x}}",
            [
                "3: command: {m} has no value in trials that do not draw it "
                "(read it from $HPO_PARAM_M or from the file {trial.parameters})"
            ],
        ),
        (
            COMMAND + "command: [a]\nfixed: {seed: 1, Lr: 1, lr: 2}",
            [
                "4: Lr: $HPO_PARAM_LR would stand for more than one parameter (names must differ in more than case)",
                "4: lr: $HPO_PARAM_LR would stand for more than one parameter (names must differ in more than case)",
            ],
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_line(text: str, expected: list[str]) -> None:
    assert mistakes(text) == expected


def test_names_of_the_built_in_training_mean_nothing_special() -> None:
    text = FUNCTION + "fixed: {model: tree, depth: 3, warmup_epochs: 9, epochs: 1, train_images: 5}\n"
    assert study(text + "space: {dataset: {choice: [a, b]}}").fixed["model"] == "tree"


def test_overrides_know_the_names_of_the_file() -> None:
    spec = study(TEXT, "lr=0.5", "width={int: [1, 4]}", "limits.minutes=3", "fixed.new=1")
    assert (spec.fixed["lr"], spec.fixed["new"], spec.limits.minutes) == (0.5, 1, 3)
    assert spec.space["width"].extremes() == [1, 2, 3, 4]
    assert mistakes(TEXT, "layer=3") == ["--set layer=3: unknown key 'layer' (did you mean layers?)"]
    # What an override makes impossible is no longer drawn.
    assert "momentum" not in study(TEXT, "optimizer=none").space


def test_stages_have_no_test_evaluation() -> None:
    stages = "stages: [{name: a, trials: 4, epochs: 2}, {name: b, confirm: {top: 2, seeds: 2}}]"
    spec = study(TEXT.replace("trials: 4\n", "") + stages)
    assert spec.trials == 8 and not spec.has_test
    assert planned_trials(spec.stages) == 9  # with test images
    assert spec.trial_costs == ((4, 2.0), (4, 30.0))


def test_a_searched_budget_is_not_set_by_a_stage() -> None:
    text = (
        FUNCTION.replace("trials: 4\n", "") + "space: {epochs: {int: [1, 9]}, train_images: {int: [1, 9]}}\n"
    )
    stages = "stages: [{name: a, trials: 4, epochs: 2, data: 0.5}]"
    assert mistakes(text + stages) == ["4: stages: a sets epochs, but epochs is searched (leave epochs out of space)"]  # fmt: skip


def test_pruners_know_the_budget_if_the_study_sets_one() -> None:
    pruner = "pruner: {asha: {min_epochs: 4}}\nspace: {lr: {log: [1, 2]}}\n"
    assert study(FUNCTION + pruner).pruner.name == "asha"
    assert mistakes(FUNCTION + pruner + "fixed: {epochs: 3}") == [
        "4: pruner: asha would never stop a trial: min_epochs is 4, and trials have 3 epochs "
        "(lower min_epochs or raise epochs)"
    ]


@pytest.mark.parametrize(
    ("pair", "value"),
    [("lr=1", 1.0), ("layers=7", 7), ("width=24", 24), ("penalty=0.5", 0.5), ("optimizer=none", "none"),
     ("optimizer=", None)],
)  # fmt: skip
def test_given_values_have_the_type_of_their_distribution(pair: str, value: Any) -> None:
    (found,) = read_assignments(study(TEXT), [pair]).values()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["lr=fast"], "lr=fast: lr: 'fast' is not a number"),
        (["lr=0"], "lr=0: lr: 0 is not above 0"),
        (["layers=1.5"], "layers=1.5: layers: 1.5 is not a whole number"),
        (["width=wide"], "width=wide: width: 'wide' is not a whole number"),
        (["depth=3"], "unknown hyperparameter 'depth' (the study has epochs, dataset, penalty, lr, "),
        (["lr={int: [1, 2]}"], "lr needs one value here, e.g. lr=3.16e-3"),
        (["momentum=0.9", "optimizer=none"], "momentum has no effect with optimizer none: leave it out, or "),
    ],
)
def test_given_values_that_do_not_fit_are_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_assignments(study(TEXT), pairs)
    assert message in str(caught.value)


def test_given_values_unlike_the_draws_are_pointed_out() -> None:
    assert list(surprises(study(TEXT), {"width": 24, "momentum": 0.9, "dataset": "theirs"})) == [
        "width 24 is outside of the study's space (16, 32)",
        "momentum has no effect unless optimizer, which is drawn, is sgd",
        "dataset is not searched: the study's other trials have dataset mine",
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("512 MiB", 2**29), ("1.5gb", 15 * 10**8), ("100kB", 10**5), ("7B", 7)],
)
def test_sizes_of_memory_are_read_and_written(text: str, size: int) -> None:
    assert memory_bytes(text) == size
    assert memory_bytes(memory_text(size)) == size


def test_the_schema_knows_own_trainings() -> None:
    validator = jsonschema.Draft7Validator(study_schema())
    assert list(validator.iter_errors(yaml.safe_load(TEXT.replace("1e-4, 1e-1", "0.0001, 0.1")))) == []
    mistakes: tuple[dict[str, Any], ...] = (
        {"trainer": "a.b"},
        {"trainer": "a:b", "command": ["a"]},
        {"trainer": "a:b", "space": {"2d": {"int": [1, 2]}}},
        {"trainer": "a:b", "space": {"d": {"log": [0, 2]}}},
        {"trainer": "a:b", "fixed": {"epochs": 0}},
        {"trainer": "a:b", "limits": {"memory": "4 apples each"}},
        {"command": []},
        {"limits": {"minutes": 1}},
        {"space": {"my_own": {"int": [1, 2]}}},
    )
    for wrong in mistakes:
        assert list(validator.iter_errors({"study": "s", "trials": 1, **wrong})), wrong


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {lr: {log: [1e-3, 1]}}", "space cannot be combined with interface: optuna"),
        ("first: [{lr: 1}]", "first cannot be combined with interface: optuna"),
        ("stages: [{name: a, trials: 3}]", "stages cannot be combined with interface: optuna"),
        ("pruner: {asha: {promote: true}}", "promote resumes paused trials, and an objective"),
        ("sampler: grid", "grid must know all choices before a trial starts"),
        ("sampler: cmaes", "cmaes must know all ranges before a trial starts"),
    ],
)
def test_what_a_training_that_draws_itself_cannot_have_is_refused(text: str, message: str) -> None:
    study = f"study: s\ntrainer: a:b\ninterface: optuna\ntrials: 3\n{text}\n"
    with pytest.raises(StudyFileError) as raised:
        parse_study(study, "s.yaml")
    assert message in str(raised.value)


def test_interface_is_for_a_trainer() -> None:
    with pytest.raises(StudyFileError, match="optuna is for a trainer:"):
        parse_study("study: s\ncommand: [a]\ninterface: optuna\ntrials: 3\n", "s.yaml")
    with pytest.raises(StudyFileError, match="is for a training of your own"):
        parse_study("study: s\ninterface: optuna\ntrials: 3\nspace: {}\n", "s.yaml")
    spec = parse_study(
        "study: s\ntrainer: a:b\ninterface: optuna\ntrials: 3\nspace: {}\nsampler: {tpe: {startup: 5}}\n", "s"
    )
    assert spec.interface == "optuna"
