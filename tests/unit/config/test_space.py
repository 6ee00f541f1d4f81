from __future__ import annotations

import math

import pytest

from hpo.config.parsing.load import parse_study
from hpo.config.space import Choice, Distribution, Integer, Log, Uniform, drawing_order


def test_log_draws_halves_of_the_exponent() -> None:
    assert Log(log=(1e-4, 1.0)).draw(0.5) == pytest.approx(1e-2)
    assert Log(log=(1e-4, 1.0)).draw(0.75) == pytest.approx(1e-1)


@pytest.mark.parametrize(
    "distribution", [Log(log=(1e-7, 3e-3)), Uniform(uniform=(-0.3, 0.7)), Integer(int=(2, 5))]
)
def test_draws_stay_inside(distribution: Log | Uniform | Integer) -> None:
    low, high = distribution.bounds
    for u in (0.0, 0.5, 1 - 2**-53):
        assert low <= distribution.draw(u) <= high


def test_every_whole_number_and_choice_is_as_likely() -> None:
    grid = [(i + 0.5) / 120 for i in range(120)]
    whole = [Integer(int=(2, 5)).draw(u) for u in grid]
    words = [Choice(choice=["a", "b", "c"]).draw(u) for u in grid]
    assert [whole.count(value) for value in (2, 3, 4, 5)] == [30] * 4
    assert [words.count(value) for value in "abc"] == [40] * 3


def test_extremes_of_a_short_integer_range_are_all_its_values() -> None:
    assert Integer(int=(8, 11)).extremes() == [8, 9, 10, 11]
    assert Integer(int=(1, 10_000)).extremes() == [1, 10_000]


def test_can_be_knows_what_may_be_drawn() -> None:
    assert Choice(choice=["a", None]).can_be(None)
    assert not Choice(choice=["a"]).can_be("b")
    assert Integer(int=(2, 4)).can_be(3)
    assert not Integer(int=(2, 4)).can_be(5)
    assert not Uniform(uniform=(0, 1)).can_be(0.5)


def test_parents_are_drawn_before_their_children() -> None:
    space: dict[str, Distribution] = {
        "momentum": Uniform(uniform=(0.8, 0.9), when={"nesterov": True}),
        "lr": Log(log=(1e-3, 1)),
        "nesterov": Choice(choice=[True, False], when={"optimizer": "sgd", "batch_size": 64}),
        "optimizer": Choice(choice=["sgd", "adam"]),
    }
    assert drawing_order(space) == ["optimizer", "nesterov", "momentum", "lr"]


def test_a_circle_does_not_hang() -> None:
    space: dict[str, Distribution] = {
        "a": Choice(choice=[1], when={"b": 1}),
        "b": Choice(choice=[1], when={"a": 1}),
    }
    assert sorted(drawing_order(space)) == ["a", "b"]


def test_when_holds_for_any_of_its_values() -> None:
    distribution = Uniform(uniform=(0, 1), when={"optimizer": ["sgd", "rmsprop"], "nesterov": False})
    assert distribution.active({"optimizer": "rmsprop", "nesterov": False})
    assert not distribution.active({"optimizer": "adam", "nesterov": False})
    assert not distribution.active({"nesterov": False})


@pytest.mark.parametrize(
    ("kind", "values"),
    [(Log, {"log": (0, 1)}), (Log, {"log": (1, 1)}), (Uniform, {"uniform": (1, math.inf)})],
)
def test_impossible_distributions_cannot_be_made(kind: type[Log], values: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        kind.model_validate(values)


def test_packages_of_a_study_are_those_of_its_own_networks() -> None:
    text = "study: s\ntrials: 2\nspace:\n  lr: {log: [0.01, 0.1]}\n"
    choice = text + "  model: {choice: [convnet, mine.nets:small, mine.nets:large, others:build]}\n"
    assert parse_study(choice, "s.yaml").packages == ("mine", "others")
    assert parse_study(text + "fixed: {model: 'nets:build'}\n", "s.yaml").packages == ("nets",)
    assert parse_study(text, "s.yaml").packages == ()
