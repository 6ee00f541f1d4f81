"""Studies that are written as a command: what is searched, and what is wrong with it."""

from __future__ import annotations

import pytest

from hpo.config.command import filled
from hpo.config.parsing.command_line import command_study, study_name
from hpo.config.space import Choice, Integer, Log, Uniform
from hpo.config.study import StudySpec
from hpo.errors import StudyFileError, UserError


def study(*words: str, changes: tuple[str, ...] = ()) -> StudySpec:
    return command_study(["python", "train.py", *words], None, 5, changes)


def test_arguments_with_a_distribution_are_searched() -> None:
    spec = study(
        "--lr~log(1e-4, 1e-1)",
        "--weight-decay=~uniform(0, 1)",
        "-d~int(1, 3)",
        "+model.layers[0].width=~choice(16, 32)",
        "--model.depth~int(1, 3)",
        "name~choice(sgd, 'a, b', null)",
        "--out={trial.folder}",
        "--data=~/images",
        "HEAD~1",
        "http://host/~user(x)",
    )
    assert spec.command == (
        "python", "train.py", "--lr", "{lr}", "--weight-decay={weight_decay}", "-d", "{d}",
        "+model.layers[0].width={model_layers_0__width}", "--model.depth", "{model_depth}",
        "{name}", "--out={trial.folder}", "--data=~/images", "HEAD~1", "http://host/~user(x)",
    )  # fmt: skip
    assert spec.space == {
        "lr": Log(log=(1e-4, 1e-1)),
        "weight_decay": Uniform(uniform=(0, 1)),
        "d": Integer(int=(1, 3)),
        "model_layers_0__width": Choice(choice=[16, 32]),
        "model_depth": Integer(int=(1, 3)),
        "name": Choice(choice=["sgd", "a, b", None]),
    }
    assert (spec.study, spec.trials, spec.first) == ("train", 5, ())


def test_words_of_other_programs_and_defaults_are_understood() -> None:
    spec = study(
        "--lr~loguniform(1e-5, 1.0, default_value=0.1)",
        "--w~choices([16, 32], default=16)",
        "--d~randint(1, 3)",
    )
    assert spec.space["lr"] == Log(log=(1e-5, 1.0)) and spec.space["w"] == Choice(choice=[16, 32])
    assert spec.first == ({"lr": 0.1, "w": 16},)


def test_settings_of_the_study_are_changed_as_for_a_file() -> None:
    changes = ("objective=val_loss", "study=other", "fixed.epochs=3", "sampler=tpe", "trials=7")
    spec = study("--lr~log(1e-4, 1e-1)", "-n={epochs}", changes=changes)
    assert (spec.study, spec.trials, spec.fixed) == ("other", 7, {"epochs": 3})
    assert spec.goal.direction == "minimize"


@pytest.mark.parametrize(
    ("word", "given"),
    [
        ("print({'hpo': 1}, {lr}, {})", "print({'hpo': 1}, 0.1, {})"),
        ('{"optimizer": {"lr": {lr}}}', '{"optimizer": {"lr": 0.1}}'),
        ("{epoch}-{val_loss:.2f}{", "{epoch}-{val_loss:.2f}{"),
        ("{{lr}} {{other}} {trial.seed}", "{lr} {{other}} 7"),
    ],
)
def test_braces_without_a_known_name_belong_to_the_program(word: str, given: str) -> None:
    spec = study("--lr~log(1e-4, 1e-1)", "-c", word)
    assert spec.command is not None
    assert filled(spec.command[-1], {"lr": "0.1", "trial.seed": "7"}) == given


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--lr~log(0, 1)"], "--lr~log(0, 1): lr: a log scale cannot start at 0"),
        (["--lr~log(1)"], "--lr~log(1): lr: "),
        (["--lr~logg(1, 2)"], "--lr~logg(1, 2): unknown distribution 'logg' (did you mean log?)"),
        (["--lr~log(1 2)"], "--lr~log(1 2): no comma between the bounds: write log(1, 2)"),
        (["--lr~log(1)"], "--lr~log(1): lr: log needs two numbers (log(low, high))"),
        (["--lr~int(4, 1)"], "the lower bound 4 is not below the upper bound 1 (int(1, 4))"),
        (["--lr~0.1"], "--lr~0.1: '0.1' is not a distribution; write e.g. --lr~'log(1e-4, 1e-1)'"),
        (
            ["--lr~log(1, 2)", "lr=~int(1, 2)"],
            "lr is searched more than once (--lr~log(1, 2), lr=~int(1, 2))",
        ),
        (["--lr~log(1, 2, step=1)"], "--lr~log(1, 2, step=1): unknown option 'step=1'"),
        (["--lr~log(1, 2, default=x)"], "--lr~log(1, 2, default=x): first: lr: 'x' is not a number"),
        (["--lr~log(1, 2)", "--w", "{trial.sed}"], "train: command: unknown parameter {trial.sed}"),
        (["--class~int(1, 2)"], "'class' is not a valid parameter name"),
        (["--9x~int(1, 2)"], "--9x~int(1, 2): '9x' is not a valid parameter name"),
        (["é~int(1, 2)"], "é~int(1, 2): 'é' is not a valid parameter name"),
        (["--model.lr~logg(1, 2)"], "--model.lr~logg(1, 2): unknown distribution 'logg'"),
        (["--model.lr~log(1, 2)", "--model_lr~log(1, 2)"], "model_lr is searched more than once"),
        (["--lr", "0.1"], "no argument is searched: write e.g. --lr~'log(1e-4, 1e-1)' in place of --lr 0.01"),
    ],
)
def test_mistake_names_the_argument(words: list[str], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        study(*words)
    assert problem in str(caught.value)


@pytest.mark.parametrize("word", ["--lambda~log(1, 2)", "--lr~choice([)", "--lr~log(0, 1)"])
def test_mistake_in_an_argument_is_the_only_one(word: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        study(word)
    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith(f"  {word}: ")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("python -u src/train_net.py --config conf.yaml", "train_net"),
        ("python -m pkg.train --lr 1", "pkg.train"),
        ("./run-it --lr 1", "run-it"),
        ("Rscript fit.R", "fit"),
        ("/usr/bin/_ --lr 1", "command"),
    ],
)
def test_study_is_named_after_its_program(words: str, name: str) -> None:
    assert study_name(words.split()) == name
