"""Images of the user's own: what a function may return, and what is said of anything else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hpo.config.division import NO_RULES, DivisionRules
from hpo.config.image_format import ImageFormat
from hpo.config.parsing.load import parse_study
from hpo.errors import ConfigurationError
from hpo.training import study_images
from hpo.training.study_images import choose_images, load_chosen_images
from hpo.training.users_code import allow_only
from hpo.training.users_images import users_images

CODE = """
import numpy as np
import torch
import hpo
from PIL import Image

LABELS = np.arange(40) % 2
IMAGES = np.stack([np.full((12, 16), 100 * label + number, np.uint8) for number, label in enumerate(LABELS)])


def arrays():
    return hpo.ImageData(IMAGES, LABELS, IMAGES[:4], LABELS[:4], classes=["dark", "light"])


def mapping():
    return {"train_images": IMAGES, "train_labels": LABELS}


class Pictures(torch.utils.data.Dataset):
    def __init__(self, count, kind="tensor", label=int):
        self.count, self.kind, self.label = count, kind, label

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        image = IMAGES[number]
        if self.kind == "tensor":
            image = torch.from_numpy(image / 255).unsqueeze(0).expand(3, -1, -1)
        if self.kind == "pil":
            image = Image.fromarray(image).resize((16 + number, 12)).convert("RGB")
        return image, self.label(LABELS[number])


MODES = {
    "deep": Image.fromarray(np.full((12, 16), 100 * 257, np.uint16)),
    "clear": Image.new("RGBA", (16, 12), (0, 0, 0, 0)),
    "plain": Image.new("L", (16, 12), 100),
    "range": Image.fromarray(np.full((12, 16), 700, np.int32)),
}


def of_mode(mode):
    return [(MODES[mode], n % 2) for n in range(40)]


class Named(Pictures):
    classes = ["dark", "light", "other"]
    targets = LABELS.tolist()


def tensors():
    return Pictures(40), Pictures(10)


def three():
    return Pictures(30), torch.utils.data.Subset(Pictures(40), range(30, 40)), None


def grouped():
    return hpo.ImageData(IMAGES, LABELS, groups=LABELS + np.arange(40) // 4)


def pictures(data_root):
    assert data_root == "somewhere"
    return Named(40, "pil")


def unlabeled():
    return Pictures(40, label=str)


def wrong_images():
    return Pictures(40, "array", label=int), [("text", 0)]


def numbers():
    return 3


def nothing():
    return None


def keys():
    return {"images": IMAGES}


def fails():
    raise RuntimeError("the disk is not mounted")


def out_of_range():
    return hpo.ImageData(IMAGES * 3.0, LABELS)
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "mine_images.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    yield
    allow_only(None)
    sys.modules.pop("mine_images", None)
    sys.path[:] = [each for each in sys.path if each != str(tmp_path)]


def of(name: str, root: str | None = None) -> tuple[np.ndarray, list[int], int]:
    images = users_images(f"mine_images:{name}", root)
    source = images.source(ImageFormat(12, 16, 1))
    decoded = source.decode()
    test = sum(len(chunk) for chunk in decoded.test.chunks)
    return np.concatenate(list(decoded.train.chunks)), decoded.train.labels.tolist(), test


def test_the_second_of_three_data_sets_validates() -> None:
    pixels, _, test = of("three")
    assert (len(pixels), test) == (36, 4)  # of 30, 4 are held out for test
    assert pixels[-10:, 0, 0, 0].tolist() == [100 * (n % 2) + n for n in range(30, 40)]
    source = users_images("mine_images:three", None).source(ImageFormat(12, 16, 1))
    assert source.division.given == 10 and "(26 train, 10 validation, 4 test" in source.origin
    drawn = users_images("mine_images:three", None, DivisionRules("drawn")).source(ImageFormat(12, 16, 1))
    assert drawn.division.given == 0 and drawn.count == 30 and "are not used" in drawn.warnings[0]
    with pytest.raises(
        ConfigurationError, match="groups: 'folder' cannot be read of dataset mine_images:three"
    ):
        users_images("mine_images:three", None, DivisionRules(groups="folder")).source(ImageFormat(12, 16, 1))


def test_groups_of_arrays_are_those_that_the_function_returns() -> None:
    source = users_images("mine_images:grouped", None).source(ImageFormat(12, 16, 1))
    blocks = source.division.blocks
    assert blocks is not None and len(blocks.numbers) == len(source.decode().train.labels)
    assert 2 <= len(set(blocks.numbers.tolist())) < 11  # of 11 groups, whole ones are held out for test
    with pytest.raises(
        ConfigurationError, match=r"groups: 'x' cannot be read of .*hpo.ImageData\(groups=...\)"
    ):
        users_images("mine_images:grouped", None, DivisionRules(groups="x")).source(ImageFormat(12, 16, 1))


def test_arrays_and_tensors_are_the_same_pictures() -> None:
    pixels, labels, test = of("arrays")
    assert pixels[:, 0, 0, 0].tolist() == [100 * (n % 2) + n for n in range(40)] and test == 4
    again, same, test = of("tensors")
    assert np.array_equal(again, pixels) and same == labels and test == 10
    assert of("mapping")[2] == 4 and len(of("mapping")[0]) == 36


def test_pictures_of_any_size_fit_and_keep_the_names_of_classes() -> None:
    images = users_images("mine_images:pictures", "somewhere")
    survey, count = images.survey()
    assert count == 40 and len(set(survey.sizes)) == 40 and not survey.colored
    source = images.source(ImageFormat(8, 8, 1))
    assert source.classes == ("dark", "light", "other") and source.count == 40
    assert "36 train, 4 test" in source.origin


@pytest.mark.parametrize(("mode", "value"), [("deep", 100), ("clear", 255), ("plain", 100)])
def test_pictures_of_any_mode_are_converted_as_files_are(mode: str, value: int) -> None:
    assert (of("of_mode", mode)[0] == value).all()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("unlabeled", "the label of image 0 is '0', not a whole number from 0"),
        ("wrong_images", "image 0 is a str, not a PIL image, tensor or array"),
        ("numbers", "returned int: return a torch Dataset, two or three of them"),
        ("nothing", "returned None: return a torch Dataset"),
        ("keys", "returned a mapping of images: use the names train_images, train_labels"),
        ("fails", "when called, raised RuntimeError: the disk is not mounted"),
        ("out_of_range", "images are float64 from 0 to .*: use floats from 0 to 1, or uint8"),
        ("nowhere", "module mine_images has no 'nowhere'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(name: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        of(name)
    with pytest.raises(ConfigurationError, match="image 0: its values run from 700 to 700"):
        of("of_mode", "range")


def test_a_worker_imports_only_what_is_allowed() -> None:
    allow_only(["other"])
    with pytest.raises(ConfigurationError, match="dataset mine_images:arrays was not imported: "):
        users_images("mine_images:arrays", None)


def test_changed_images_are_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    form = ImageFormat(12, 16, 1)
    before = {
        name: users_images(f"mine_images:{name}", None).source(form).signature
        for name in ("arrays", "tensors")
    }
    changed = sys.modules["mine_images"].IMAGES.copy()
    changed[7] += 1
    monkeypatch.setattr(sys.modules["mine_images"], "IMAGES", changed)
    for name, signature in before.items():
        assert users_images(f"mine_images:{name}", None).source(form).signature != signature


def test_a_study_is_bound_to_the_format_of_its_images() -> None:
    spec = parse_study("study: mine\ntrials: 1\nfixed: {dataset: 'mine_images:arrays'}\n", "mine.yaml")
    chosen = choose_images(spec)
    assert chosen.format == ImageFormat(12, 16, 1) and len(chosen.reasons) == 2
    dataset = load_chosen_images(spec, chosen)
    assert dataset.name == "mine_images:arrays" and dataset.train_images.shape == (40, 1, 12, 16)
    assert dataset.fields["dataset"] == "mine_images:arrays"
    assert spec.packages == ("mine_images",)


def test_the_function_is_called_once_for_a_new_study(monkeypatch: pytest.MonkeyPatch) -> None:
    images_of = study_images.images_of
    calls = []
    monkeypatch.setattr(study_images, "images_of", lambda *which: calls.append(which) or images_of(*which))
    spec = parse_study("study: mine\ntrials: 1\nfixed: {dataset: 'mine_images:arrays'}\n", "mine.yaml")
    load_chosen_images(spec, choose_images(spec))
    assert calls == [("mine_images:arrays", None, NO_RULES)]
