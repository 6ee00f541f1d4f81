"""The state of a network as tensors alone: exact, the same for equal values, and read without code."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hpo.errors import ConfigurationError
from hpo.training.data import weights_hash
from hpo.training.network_state import load_network_state, network_state, state_shapes


class Holder(nn.Module):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.value = value

    def get_extra_state(self) -> Any:
        return self.value

    def set_extra_state(self, state: Any) -> None:
        self.value = state


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_extra_state_returns_from_a_file_as_it_was(value: Any) -> None:
    stored = safetensors.torch.save(network_state(Holder(value)))
    other = Holder(0)
    load_network_state(other, safetensors.torch.load(stored))
    assert other.value == value and type(other.value) is type(value)


def test_extra_state_may_hold_tensors_and_nan() -> None:
    tensors = [torch.arange(6).reshape(2, 3), torch.ones(2, dtype=torch.bfloat16), torch.empty(0, 4)]
    other = Holder(0)
    load_network_state(other, network_state(Holder({"all": tensors, "nan": math.nan, "np": np.float32(0.5)})))
    assert all(torch.equal(*pair) for pair in zip(other.value["all"], tensors, strict=True))
    assert [each.dtype for each in other.value["all"]] == [each.dtype for each in tensors]
    assert math.isnan(other.value["nan"]) and other.value["np"] == 0.5


def test_extra_state_counts_in_the_hash_but_not_in_the_shapes() -> None:
    few, many = Holder([1]), Holder(list(range(100)))
    assert weights_hash(few) != weights_hash(many)
    assert weights_hash(few) == weights_hash(Holder([1]))
    assert state_shapes(network_state(few)) == state_shapes(network_state(many))


@pytest.mark.parametrize("value", [{1, 2}, object(), [np.arange(3)], torch.ones(2).to_sparse()])
def test_extra_state_of_another_kind_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="_extra_state in the network's state_dict"):
        network_state(Holder(value))


def test_state_without_extra_state_is_the_state_dict() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    state = network_state(network)
    assert list(state) == list(network.state_dict())
    assert all(torch.equal(state[name], each) for name, each in network.state_dict().items())
