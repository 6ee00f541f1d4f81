"""Large mapped files are unmapped now and then, and read the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.config.configuration import Configuration
from hpo.data import mapped
from hpo.data.mapped import MappedPages
from hpo.data.matrices import refuse_large_matrices
from hpo.data.preprocess import AFFINE, Preprocessor
from hpo.data.rows import Rows
from hpo.errors import ConfigurationError
from hpo.training.data import ImageSet


@pytest.fixture
def pixels(tmp_path: Path) -> np.ndarray:
    """40 random images in a mapped file."""
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 64, 64), np.uint8)
    np.save(tmp_path / "images.npy", images)
    found: np.ndarray = np.load(tmp_path / "images.npy", mmap_mode="r")
    return found


def resident(array: np.ndarray) -> int:
    """Kilobytes of the array's mapping that count as this process's memory."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    address = array.ctypes.data
    for line in lines:
        first = line.split()[0]
        if "-" in first and ":" not in first:
            start, end = (int(each, 16) for each in first.split("-"))
            inside = start <= address < end
        elif first == "Rss:" and inside:
            return int(line.split()[1])
    raise AssertionError("not mapped")


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux only")
@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_pages_that_were_read_are_unmapped_and_read_again(
    pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "LARGE", 100_000)
    monkeypatch.setattr(mapped, "_READ_BETWEEN", 5 * 12_288)
    whole = torch.from_numpy(pixels)
    images = ImageSet(whole, torch.arange(40), torch.arange(40), None, MappedPages(pixels))
    before = np.array(pixels)
    assert resident(pixels) >= 40 * 12
    for place in range(4):
        read, _ = images.batch(torch.tensor([place]))
        assert np.array_equal(read[0].numpy(), before[place])
    assert resident(pixels) >= 40 * 12
    images.batch(torch.tensor([4]))
    assert resident(pixels) == 0
    assert np.array_equal(pixels, before)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("kind", [*AFFINE, "zca"])
def test_statistics_in_chunks_are_those_of_a_copy(pixels: np.ndarray, kind: str) -> None:
    small = torch.from_numpy(pixels[:, :, :8, :8].copy())
    rows = torch.tensor([7, 3, 3, *range(9, 39)])
    chunked = Rows(small, rows, MappedPages(pixels))
    configuration = Configuration(preprocessing=kind)  # type: ignore[arg-type]
    one, other = (Preprocessor.fit(configuration, each) for each in (chunked, small[rows]))
    assert all(torch.equal(one.state()[name], part) for name, part in other.state().items())


def test_matrices_that_do_not_fit_are_refused() -> None:
    refuse_large_matrices("zca", 3_072)
    refuse_large_matrices("standardize", 150_528)
    with pytest.raises(ConfigurationError, match=r"zca needs 1,450.2 GB for matrices of 150,528 x 150,528"):
        refuse_large_matrices("zca", 150_528)
