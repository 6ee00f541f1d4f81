"""``hpo init``: answers by options and by typing, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from hpo.cli.app import run_command
from hpo.config.parsing.load import load_study
from hpo.config.study import StudySpec
from hpo.training import speed

Capture = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, on a machine that trains 1,000 images/s."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(speed, "pool_speed", lambda trials=None: 1000.0)
    return tmp_path


def _types(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))


def _init(*arguments: str, code: int = 0) -> StudySpec:
    assert run_command(["init", *arguments]) == code
    return load_study(next((each for each in arguments if each.endswith(".yaml")), "study.yaml"))


def test_without_a_terminal_nothing_is_asked(capsys: Capture) -> None:
    spec = _init()
    assert (spec.study, spec.fixed["dataset"]) == ("study", "synthetic")  # there is no CIFAR-10 here
    assert (spec.trials, spec.fixed["epochs"]) == (22, 6)  # 1,188,000 of 1,200,000 images
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "study.yaml  22 trials, 6 epochs each, about 19 min 48 s on this machine",
        "hpo run study.yaml",
    ]
    assert captured.err == ""


def test_cifar10_is_what_is_taken_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data" / "cifar-10-batches-py").mkdir(parents=True)
    monkeypatch.setenv("HPO_DATA", str(tmp_path / "data"))
    assert _init("a.yaml").fixed["dataset"] == "cifar10"


def test_options_are_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    _types(monkeypatch)  # on a terminal, too
    spec = _init("deep net.yaml", "--images", "cifar10", "--length", "8x3", "--search", "regularization")
    assert (spec.study, spec.trials, spec.fixed["epochs"], spec.fixed["dataset"]) == (
        "deep-net", 8, 3, "cifar10",
    )  # fmt: skip
    assert set(spec.space) == {"lr", "weight_decay", "dropout", "label_smoothing"}
    text = Path("deep net.yaml").read_text()
    assert "about 18 min 00 s" in text and "1,080,000 images" in text and "1,000 images/s" in text


def test_three_questions_and_what_is_wrong_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / "pets" / name / f"{number}.png")
    _types(monkeypatch, "nowhere", "pets", "a while", "6x2", "everything", "")
    spec = _init()
    assert (spec.fixed["dataset"], spec.fixed["data_root"]) == ("folder", str(tmp_path / "pets"))
    assert (spec.trials, spec.fixed["epochs"]) == (6, 2)
    assert "activation" in spec.space
    captured = capsys.readouterr()
    for question in ("1. Which images?", "2. How long?", "3. What to search?"):
        assert captured.out.count(question) == 1
    for wrong in (
        "nowhere",
        "'a while' is not a valid length",
        "'everything' is not one of: lecture, regularization",
    ):
        assert wrong in captured.err


def test_init_interrupted_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    _types(monkeypatch, "synthetic")
    assert run_command(["init"]) == 1
    assert not Path("study.yaml").exists()


def test_init_replaces_a_file_only_with_force(capsys: Capture) -> None:
    Path("study.yaml").write_text("precious")
    assert run_command(["init"]) == 2
    assert "study.yaml already exists: choose another file" in capsys.readouterr().err
    assert Path("study.yaml").read_text() == "precious"
    _init("--force")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--images", "nowhere"), "nowhere"),
        (("--length", "soon"), "'soon' is not a valid length"),
        (("--length", "2000000x1"), "is not a valid length"),
        (("missing/study.yaml",), "cannot write missing/study.yaml"),
    ],
)
def test_mistakes_are_the_users(arguments: tuple[str, ...], said: str, capsys: Capture) -> None:
    assert run_command(["init", *arguments]) in (1, 2)
    assert said in capsys.readouterr().err
    assert not Path("study.yaml").exists()
