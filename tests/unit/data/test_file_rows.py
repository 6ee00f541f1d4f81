"""Large mapped files are read without being mapped, and the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpo.config.configuration import Configuration
from hpo.data import file_rows as module
from hpo.data.file_rows import file_rows, read_rows
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
def test_images_of_a_large_file_are_read_without_mapping_it(
    pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file_rows(pixels) is None
    monkeypatch.setattr(module, "LARGE", 100_000)
    images = ImageSet(torch.from_numpy(pixels), torch.arange(40), torch.arange(40), None, file_rows(pixels))
    places = torch.tensor([39, 0, 7, 7])
    before = resident(pixels)
    read, labels = images.batch(places)
    assert resident(pixels) == before < 40 * 12
    assert np.array_equal(read.numpy(), pixels[places.numpy()]) and torch.equal(labels, places)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
def test_halves_are_read_as_they_are_and_a_file_that_is_gone_by_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGE", 1)
    np.save(tmp_path / "a.npy", np.arange(48, dtype=np.float16).reshape(4, 3, 2, 2))
    halves = np.load(tmp_path / "a.npy", mmap_mode="r")
    whole, rows = torch.from_numpy(halves), torch.tensor([3, 1])
    assert torch.equal(read_rows(whole, rows, file_rows(halves)), whole[rows])
    (tmp_path / "a.npy").unlink()
    assert file_rows(halves) is None


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("kind", [*AFFINE, "zca"])
def test_statistics_in_chunks_are_those_of_a_copy(pixels: np.ndarray, kind: str) -> None:
    small = torch.from_numpy(pixels[:, :, :8, :8].copy())
    rows = torch.tensor([7, 3, 3, *range(9, 39)])
    chunked = Rows(small, rows)
    configuration = Configuration(preprocessing=kind)  # type: ignore[arg-type]
    one, other = (Preprocessor.fit(configuration, each) for each in (chunked, small[rows]))
    assert all(torch.equal(one.state()[name], part) for name, part in other.state().items())


def test_matrices_that_do_not_fit_are_refused() -> None:
    refuse_large_matrices("zca", 3_072)
    refuse_large_matrices("standardize", 150_528)
    with pytest.raises(ConfigurationError, match=r"zca needs 1,450.2 GB for matrices of 150,528 x 150,528"):
        refuse_large_matrices("zca", 150_528)
