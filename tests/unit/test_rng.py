import numpy as np
from scipy import stats

from hpo.rng import Key


def test_the_same_key_gives_the_same_draw() -> None:
    assert (Key(3) / "draw" / 7 / "lr").uniform() == (Key(3) / "draw" / 7 / "lr").uniform()


def test_keys_that_differ_anywhere_give_other_draws() -> None:
    keys = [Key(0) / 1, Key(1) / 1, Key(0) / 2, Key(0) / "1", Key(0) / 1 / 0, Key(0)]
    assert len({key.integer() for key in keys}) == len(keys)


def test_a_name_with_a_slash_is_not_two_names() -> None:
    assert (Key(0) / "a/str:b").integer() != (Key(0) / "a" / "b").integer()


def test_integers_fit_torch_seeds() -> None:
    assert all(0 <= (Key(0) / i).integer() < 2**63 for i in range(1000))


def test_uniform_over_the_counter() -> None:
    for seed in range(3):
        draws = np.array([(Key(seed) / i / "lr").uniform() for i in range(20_000)])
        assert draws.min() >= 0 and draws.max() < 1
        assert stats.kstest(draws, "uniform").pvalue > 0.001


def test_neighboring_slots_and_names_are_uncorrelated() -> None:
    lr = np.array([(Key(0) / i / "lr").uniform() for i in range(5000)])
    wd = np.array([(Key(0) / i / "weight_decay").uniform() for i in range(5000)])
    assert abs(np.corrcoef(lr, wd)[0, 1]) < 0.05
    assert abs(np.corrcoef(lr[:-1], lr[1:])[0, 1]) < 0.05
