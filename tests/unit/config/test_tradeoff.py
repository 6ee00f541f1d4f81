"""The second objective and its limits: which way is better, what breaks one, what a study file may say."""

from __future__ import annotations

import math

import pytest

from hpo.config.parsing.load import parse_study
from hpo.config.schema import study_schema
from hpo.config.study import StudySpec
from hpo.config.tradeoff import QUANTITIES, Limit, Tradeoff, amount_text, broken, direction_of
from hpo.config.write import study_text
from hpo.errors import StudyFileError

IMAGES = "study: s\ntrials: 5\nspace: {lr: {log: [0.01, 0.1]}}\n"
OWN = f"{IMAGES}trainer: my_package.train:run\nobjective: f1\n"


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("parameters", "minimize"),
        ("images_per_second", "maximize"),
        ("latency_ms", "minimize"),
        ("tokens_per_second", "maximize"),
        ("gpu/throughput", "maximize"),
        ("model_size", "minimize"),
        ("val_loss", "minimize"),
        ("recall", "maximize"),
        ("wobble", None),
    ],
)
def test_the_name_of_a_quantity_tells_its_direction(name: str, direction: str | None) -> None:
    assert direction_of(name) == direction
    assert direction_of(name, "maximize") == "maximize"


def test_a_limit_is_broken_by_more_or_by_less_and_by_what_is_not_a_number() -> None:
    lower, higher = Limit(Tradeoff("ms", "minimize"), 5.0), Limit(Tradeoff("fps", "maximize"), 30.0)
    assert lower.broken_by(5.0) == higher.broken_by(30.0) == ""
    assert lower.broken_by(5.25) == "5.25 ms, more than 5"
    assert higher.broken_by(29.5) == "29.5 fps, less than 30"
    assert lower.broken_by(math.nan) == "nan ms, more than 5"
    assert broken([lower, higher], {"ms": 6.0, "fps": 1.0}) == "6 ms, more than 5; 1 fps, less than 30"
    assert broken([lower, higher], {"ms": 4.0}) == ""


def test_amounts_are_written_for_people() -> None:
    amounts = [0.0001, 0.2366, 5.0, 98905, 1234567.8, 3.5e15, math.nan]
    assert list(map(amount_text, amounts)) == [
        "0.0001", "0.2366", "5", "98,905", "1,234,568", "3.5e+15", "nan"
    ]  # fmt: skip


def test_the_second_objective_is_the_tradeoff_else_what_is_limited() -> None:
    both = parse_study(f"{IMAGES}tradeoff: parameters\nlimit: {{milliseconds: 5}}\n", "s")
    assert both.tradeoffs.goal == Tradeoff("parameters", "minimize")
    assert both.tradeoffs.limits == (Limit(Tradeoff("milliseconds", "minimize"), 5.0),)
    assert both.tradeoffs.wanted == ("parameters", "milliseconds")
    only = parse_study(f"{IMAGES}limit: {{images_per_second: 900}}\n", "s")
    assert only.tradeoffs.goal == Tradeoff("images_per_second", "maximize")
    plain = parse_study(IMAGES, "s")
    assert (plain.tradeoffs.goal, plain.tradeoffs.limits, plain.tradeoffs.within) == (None, (), "")


def test_a_study_with_a_limit_is_written_and_read_back() -> None:
    text = f"{OWN}tradeoff: wobble\ntradeoff_direction: maximize\nlimit: {{wobble: -2, latency_ms: 5.5}}\n"
    spec = parse_study(text, "s")
    assert parse_study(study_text(spec), "again") == spec
    assert StudySpec.model_validate(spec.model_dump(mode="json")) == spec
    assert spec.tradeoffs.limits[0].of.direction == "maximize"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "tradeoff: none",
            "4: tradeoff: unknown quantity 'none' (parameters, milliseconds, images_per_second; metrics only "
            "of a training of your own)",
        ),
        ("tradeoff: millisecond", "4: tradeoff: unknown quantity 'millisecond' (did you mean milliseconds?)"),
        (
            "limit: {watts: 3}",
            "4: limit: unknown quantity 'watts' (parameters, milliseconds, images_per_second; metrics only "
            "of a training of your own)",
        ),
        (
            "limit: {minutes: 3}",
            "4: limit: unknown quantity 'minutes' (limits: has minutes and memory, of a training of your "
            "own)",
        ),
        ("limit: {milliseconds: -5}", "4: limit: milliseconds: -5 is not above 0"),
        ("limit: {milliseconds: .nan}", "4: limit: milliseconds: .nan is not a finite number"),
        ("limit: {milliseconds: fast}", "4: limit: milliseconds: 'fast' is not a number"),
        ("limit: {milliseconds: }", "4: limit: milliseconds: has no value"),
        ("limit: {milliseconds: [1, 2]}", "4: limit: milliseconds: a list is not a number"),
        (
            "limit: 5",
            "4: limit: is not a mapping of a quantity to its limit (e.g. limit: {milliseconds: 5})",
        ),
        ("tradeoff_direction: minimize", "4: tradeoff_direction: is set without tradeoff (leave it out)"),
        (
            "tradeoff: parameters\ntradeoff_direction: maximize",
            "5: tradeoff_direction: maximize would look for the worst parameters (leave it out, or use "
            "minimize)",
        ),
    ],
)
def test_what_the_images_have_not_is_refused(text: str, expected: str) -> None:
    assert _mistakes(f"{IMAGES}{text}\n") == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "limit: {wobble: 3}",
            "6: limit: whether more or less of wobble is better is not known (add tradeoff: wobble and "
            "tradeoff_direction: minimize or maximize)",
        ),
        ("tradeoff: f1", "6: tradeoff: f1 is the objective (name another metric that the training reports)"),
        (
            "tradeoff: epoch",
            "6: tradeoff: epoch is the number of a report's epoch (name another metric that the training "
            "reports)",
        ),
        (
            "interface: optuna\nlimit: {ms: 5}",
            "7: limit: cannot be combined with interface: optuna, whose objective reports one value (leave "
            "it out)",
        ),
    ],
)
def test_what_an_own_training_cannot_trade_is_refused(text: str, expected: str) -> None:
    without_space = "interface" in text
    study = OWN.replace("space: {lr: {log: [0.01, 0.1]}}", "seed: 0") if without_space else OWN
    assert expected in _mistakes(f"{study}{text}\n")


def _mistakes(text: str) -> list[str]:
    with pytest.raises(StudyFileError) as found:
        parse_study(text, "s")
    lines = str(found.value).splitlines()
    return [line.strip().removeprefix("s:") for line in lines if line.strip().startswith("s:")]


def test_the_schema_offers_the_quantities() -> None:
    schema = study_schema()
    assert schema["else"]["properties"]["tradeoff"] == {"enum": [*QUANTITIES, None]}
    assert schema["properties"]["limit"]["additionalProperties"]["type"] == "number"
