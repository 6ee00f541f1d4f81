"""Which errors mean that memory ran out, and what is said of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hpo.config.configuration import Configuration
from hpo.errors import OutOfMemoryError
from hpo.training.device import translating_oom

CPU = torch.device("cpu")
CONFIGURATION = Configuration(batch_size=48, width=7)


def _petabyte_of_torch() -> object:
    return torch.empty(2**50, dtype=torch.uint8)


def _petabyte_of_numpy() -> object:
    return np.empty(2**50, dtype=np.uint8)


def _raises(error: Exception) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


@pytest.mark.parametrize(
    "work",
    [
        _petabyte_of_torch,
        _petabyte_of_numpy,
        _raises(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")),
        _raises(RuntimeError("std::bad_alloc")),
        _raises(MemoryError()),
    ],
)
def test_batch_size_and_width_are_named(work: Callable[[], object]) -> None:
    with pytest.raises(OutOfMemoryError, match=r"cpu has too little .*batch_size 48 at width 7; lower") as no:
        translating_oom(work, CONFIGURATION, CPU)
    assert "\n" not in str(no.value)


def test_what_was_asked_for_is_reported() -> None:
    with pytest.raises(OutOfMemoryError, match=r"\(1125899.91 GB more were requested\)"):
        translating_oom(_petabyte_of_torch, CONFIGURATION, CPU)


def test_nothing_of_what_was_allocated_is_kept() -> None:
    class Activations:
        pass

    seen: list[weakref.ref[Activations]] = []

    def work() -> object:
        activations = Activations()
        seen.append(weakref.ref(activations))
        return _petabyte_of_torch(), activations

    with pytest.raises(OutOfMemoryError) as caught:
        translating_oom(work, CONFIGURATION, CPU)
    gc.collect()
    assert seen[0]() is None
    assert caught.value.__context__ is None


def test_other_errors_and_results_pass_through() -> None:
    assert translating_oom(lambda: 5, CONFIGURATION, CPU) == 5
    with pytest.raises(RuntimeError, match="shape"):
        translating_oom(_raises(RuntimeError("shape")), CONFIGURATION, CPU)
