"""Global generators: seeded, stored without code, restored."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from typing import Any

import numpy as np
import torch

from hpo.training.generators import generator_states, kept_generators, restore_generators, seed_generators

CPU = torch.device("cpu")


def draws() -> list[Any]:
    normal = [float(np.random.standard_normal()) for _ in range(3)]  # of which two are drawn together
    return [float(torch.rand(())), float(np.random.random()), *normal, random.random(), random.gauss()]


def test_seed_generators_determines_all_draws() -> None:
    seed_generators(2**62 + 7)
    first = draws()
    seed_generators(2**62 + 7)
    assert draws() == first
    seed_generators(8)
    assert not set(draws()) & set(first)


def test_generator_states_restore_from_a_file_that_runs_no_code() -> None:
    seed_generators(3)
    draws()
    buffer = io.BytesIO()
    torch.save(generator_states(CPU), buffer)
    expected = draws()
    buffer.seek(0)
    restore_generators(torch.load(buffer, weights_only=True), CPU)
    assert draws() == expected


def test_generators_without_torch_restore_and_do_not_import_it() -> None:
    program = """
import random, sys
import numpy as np
from hpo.training.generators import generator_states, restore_generators, seed_generators
seed_generators(3)
states = generator_states("cuda:0")
expected = random.random(), np.random.random()
restore_generators(states, "cuda:0")
assert (random.random(), np.random.random()) == expected
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_states_of_an_older_checkpoint_restore_what_they_hold() -> None:
    states = {"cpu": torch.get_rng_state()}
    expected = float(torch.rand(()))
    restore_generators(states, CPU)
    assert float(torch.rand(())) == expected


def test_kept_generators_draw_as_if_nothing_had_been_drawn() -> None:
    seed_generators(5)
    expected = draws()
    seed_generators(5)
    with kept_generators():
        draws()
    assert draws() == expected
