"""``hpo data``: what it tells of folders, tables and data sets by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.cli.app import run_command


@pytest.fixture
def pets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Blurred noise: 36 cats and 9 dogs; a leak, a wrong label, a damaged file, and one in no format."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    random = np.random.default_rng(0)
    root = tmp_path / "pets"
    for split, share in (("train", 1), ("test", 3)):
        for name, count in {"cat": 36, "dog": 9}.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count // share):
                small = Image.fromarray(random.integers(0, 256, (5, 5, 3), np.uint8))
                small.resize((48, 40)).save(folder / f"{number}.png")
    shutil.copy(root / "train/cat/3.png", root / "test/cat/leak.png")
    shutil.copy(root / "train/cat/4.png", root / "train/dog/wrong.png")
    damaged = (root / "train/cat/5.png").read_bytes()[:90]
    (root / "train/cat/damaged.png").write_bytes(damaged)
    (root / "train/dog/live.heic").write_bytes(b"heic")
    return root


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = run_command(["data", *arguments])
    return code, capsys.readouterr().out


def ask_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code, out = ask(capsys, *arguments, "--json")
    return code, json.loads(out)


def test_a_folder_is_told_with_its_faults(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = ask_json(capsys, "pets", "--sheet", "sheet.png")
    assert code == 2
    assert found["classes"] == [
        {"name": "cat", "train": 36, "validation": 0, "test": 13},
        {"name": "dog", "train": 10, "validation": 0, "test": 3},
    ]
    assert found["sizes"] == [{"width": 48, "height": 40, "images": 62}]
    assert found["format"] == {"image_size": "32x40", "resize": "squeeze", "channels": "3"}
    assert found["modes"] == {"PNG RGB": 63}
    (unusable,) = found["unusable"]
    assert unusable["path"] == str(pets / "train/cat/damaged.png") and unusable["reason"]
    assert any(".heic" in each for each in found["warnings"])
    leak, wrong = sorted(found["duplicates"], key=lambda each: not each["leak"])
    assert leak["leak"] and {each["split"] for each in leak["images"]} == {"train", "test"}
    assert not wrong["leak"] and {each["class"] for each in wrong["images"]} == {"cat", "dog"}
    assert found["study"] == f'objective: balanced_accuracy\nfixed: {{dataset: folder, data_root: "{pets}"}}'
    with Image.open("sheet.png") as sheet:
        assert sheet.height > 2 * 72


def test_the_text_names_what_matters(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = ask(capsys, "pets")
    assert code == 2
    for line in (
        "the largest class has 4 times as many images as the smallest: accuracy hides the rare ones",
        "always naming the largest class has an accuracy of 0.783",
        "1 image cannot be used; repair or remove it:",
        "1 pair of equal images both in training and in test, so that the test is too easy",
        "1 pair of equal images in two classes, one of which is wrong",
        "every image has 40 x 48 pixels",
        "  objective: balanced_accuracy",
    ):
        assert line in out, line


def test_a_study_of_its_lines_is_accepted(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pets / "train/cat/damaged.png").unlink()
    code, found = ask_json(capsys, "pets")
    assert code == 0
    Path("pets.yaml").write_text(f"study: pets\ntrials: 1\n{found['study']}\n")
    assert run_command(["submit", "pets.yaml", "--storage", "sqlite:///pets.db"]) == 0


def test_a_table_and_a_name_are_understood(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"pets/train/{name}/{n}.png,{name}" for name in ("cat", "dog") for n in range(9)]
    Path("t.csv").write_text("\n".join(["path,label", *rows, ""]))
    code, found = ask_json(capsys, "t.csv")
    assert code == 0 and found["dataset"] == "table" and sum(each["train"] for each in found["classes"]) == 16
    code, found = ask_json(capsys, "digits")
    assert code == 0 and found["study"] == "fixed: {dataset: digits}"
    assert found["format"] == {"image_size": "8", "resize": "squeeze", "channels": "1"}
    assert len(found["classes"]) == 10 and found["sizes"] == [{"width": 8, "height": 8, "images": 1797}]


def test_what_is_nothing_is_refused_with_the_nearest_name(
    pets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["data", "digit"]) == 2
    assert "there is no folder, table or data set 'digit'; did you mean digits?" in capsys.readouterr().err


def test_init_writes_a_study_of_any_images(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for what, lines in {
        "pets": [f'data_root: "{pets}"', "objective: balanced_accuracy", "augmentation: flip_crop"],
        "digits": ["dataset: digits", "augmentation: crop\n"],
        "mnist": ["dataset: mnist"],
    }.items():
        assert run_command(["init", f"{what}.yaml", "--images", what, "--length", "1x1"]) == 0
        text = Path(f"{what}.yaml").read_text()
        assert all(line in text for line in lines), text
    capsys.readouterr()
    assert run_command(["init", "x.yaml", "--images", "digit", "--length", "1x1"]) == 2
    assert "did you mean digits?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "no images are named: give a folder"),
        (["here.txt"], "here.txt is not a folder of images, and none of .csv, .tsv"),
        (
            ["pets", "--sheet", "sheet.jpg"],
            "--sheet sheet.jpg: the sheet is a PNG picture; use a name that ends",
        ),
        (["pets", "--sheet", "no/sheet.png"], "there is no folder "),
        (["pets", "--sheet", "folder.png"], "--sheet folder.png is a folder: name a file in it"),
        (["http://host/images.csv"], "is an address: download the images"),
        (["x" * 400], "there is no folder, table or data set"),
        (["zero.npz"], "zero.npz: there are no images for training"),
    ],
)
def test_what_cannot_be_used_is_refused_before_images_are_read(
    pets: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("here.txt").touch()
    Path("folder.png").mkdir()
    np.savez("zero.npz", images=np.zeros((0, 8, 8), np.uint8), labels=np.zeros(0, np.int64))
    assert run_command(["data", *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err and "reading images" not in shown.err and not shown.out


def test_a_folder_without_a_usable_image_has_no_study(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in pets.rglob("*.png"):
        path.write_bytes(b"nothing")
    code, out = ask(capsys, "pets")
    assert code == 2 and "cannot be used; repair or remove them:" in out
    assert "dataset:" not in out and "inf" not in out and "always naming" not in out


def test_why_a_study_would_not_start_is_told(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pets / "train/eel").mkdir()
    shutil.copy(pets / "train/cat/7.png", pets / "train/eel")
    _, out = ask(capsys, "pets")
    assert f"the test images in {pets}/test have no eel\n" in out
    assert "a study of them would not start: too few images for validation: class eel has 1" in out
