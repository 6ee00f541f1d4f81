from __future__ import annotations

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hpo.diagnosis.fisher import fisher, least_p, level


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int, int]:
    total = draw(st.integers(1, 400))
    part, all_hits = draw(st.integers(0, total)), draw(st.integers(0, total))
    hits = draw(st.integers(max(0, part + all_hits - total), min(part, all_hits)))
    return hits, part, all_hits, total


@given(tables())
def test_fisher_is_the_one_sided_test_of_scipy(table: tuple[int, int, int, int]) -> None:
    hits, part, all_hits, total = table
    counts = [[hits, part - hits], [all_hits - hits, total - all_hits - part + hits]]
    expected = scipy.stats.fisher_exact(counts, alternative="greater").pvalue
    assert fisher(*table) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(tables())
def test_fisher_no_table_with_these_margins_gives_less_than_the_least(
    table: tuple[int, int, int, int],
) -> None:
    _, part, all_hits, total = table
    possible = range(max(0, part + all_hits - total), min(part, all_hits) + 1)
    assert least_p(part, all_hits, total) == pytest.approx(
        min(fisher(hits, part, all_hits, total) for hits in possible)
    )


def test_fisher_the_lady_tasting_tea() -> None:
    # Fisher, The Design of Experiments, 1935: all eight cups right has the probability 1 / 70.
    assert fisher(4, 4, 4, 8) == pytest.approx(1 / 70)


def test_fisher_tests_that_cannot_reach_the_level_are_not_counted() -> None:
    hopeless = [0.4] * 1000
    assert level([1e-9, *hopeless], 0.05) == 0.05
    assert level([1e-9] * 5 + hopeless, 0.05) == 0.01
    # Two tests reach 0.05 / 2, but a third reaches 0.05 only: Tarone's k is 2.
    assert level([0.02, 0.02, 0.04], 0.05) == 0.025
    assert level([], 0.05) == 0.05


@given(st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=40))
def test_fisher_the_chances_of_all_tests_add_up_to_alpha_at_most(least: list[float]) -> None:
    limit = level(least, 0.05)
    assert sum(p <= limit for p in least) * limit <= 0.05 * (1 + 1e-12)
    assert limit >= 0.05 / len(least)
