"""The program as a whole: quick help in groups, readable errors, exit codes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import hpo
from hpo.cli.app import COMMANDS, run_command
from hpo.errors import StorageError, UserError
from tests.helpers.command_output import Capture, error_text, output_lines

HEAVY = (
    "torch",
    "torchvision",
    "numpy",
    "optuna",
    "optuna_dashboard",
    "sqlalchemy",
    "pandas",
    "pydantic",
    "rich",
)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom hpo.cli.app import run_command\nassert run_command(['--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_takes_less_than_half_a_second() -> None:
    """User time, since the wall clock of a busy machine is no measure."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "hpo", "--help"], capture_output=True, check=True)
    assert os.times().children_user - before.children_user < 0.5


@pytest.mark.parametrize("command", [name for group in COMMANDS.values() for name in group])
def test_command_help_starts_with_its_usage(command: str, capsys: Capture) -> None:
    assert output_lines(capsys, command, "--help")[0].startswith(f"Usage: hpo {command}")


@pytest.fixture
def help_lines(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of `hpo --help` on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return output_lines(capsys, "--help")


def test_help_lists_each_command_once_below_its_group(help_lines: list[str]) -> None:
    start = help_lines.index("Start a study:")
    first_words = [
        line.removesuffix(":") if line[0] != " " else line.split()[0] for line in help_lines[start:] if line
    ]
    assert first_words == [word for group, names in COMMANDS.items() for word in (group, *names)]
    assert sum(map(len, COMMANDS.values())) == 29


def test_help_has_a_whole_sentence_for_each_command(help_lines: list[str]) -> None:
    commands = [line for line in help_lines[help_lines.index("Start a study:") :] if line.startswith("  ")]
    assert [line for line in commands if line.endswith("...") or not line.endswith(".")] == []
    assert [line for line in commands if len(line) > 80] == []


def test_version_is_the_packages(capsys: Capture) -> None:
    assert output_lines(capsys, "--version") == [f"hpo {hpo.__version__}"]


@pytest.mark.parametrize(
    "command", [["status"], ["show", "s", "1"], ["query", "SELECT 1"], ["dashboard"]], ids=lambda c: str(c[0])
)
def test_reading_command_creates_no_database(command: list[str], tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "none.db"
    shown = error_text(capsys, *command, "--storage", f"sqlite:///{path}", code=1)
    assert shown.startswith(f"error: there is no database {path}")
    assert list(tmp_path.iterdir()) == []


def test_unknown_command_suggests_one(capsys: Capture) -> None:
    assert run_command(["rum"]) == 2
    assert "Did you mean 'run'" in capsys.readouterr().err


def test_argument_that_is_not_text_is_refused(demo: str, capsys: Capture) -> None:
    assert run_command(["query", "SELECT '\udce9'", "--storage", demo]) == 2
    assert capsys.readouterr().err == "error: the arguments are not UTF-8: only paths may hold other bytes\n"


@pytest.mark.parametrize("command", ["status", "export"])
def test_study_that_is_not_text_is_unknown(command: str, demo: str, capsys: Capture) -> None:
    assert run_command([command, "caf\udce9", "--storage", demo]) == 2
    assert capsys.readouterr().err.startswith("error: there is no study caf\\udce9 in this database")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UserError("no \x1b[2J\x9bsuch thing"), 2, "error: no \\x1b[2J\\x9bsuch thing\n"),
        (StorageError("the disk is full"), 1, "error: the disk is full\n"),
        (
            ZeroDivisionError("division by zero"),
            1,
            "error: ZeroDivisionError: division by zero\n  This should not happen. "
            "Run the command again with --debug to see the traceback.\n",
        ),
    ],
)
def test_error_is_printed_without_traceback(
    error: Exception,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("hpo.config.parsing.source.bundled_studies", fail)
    assert run_command(["studies", "--bundled"]) == code
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    "arguments", [["--debug", "run", "nix"], ["run", "--debug", "nix"], ["run", "nix", "--debug"]]
)
def test_debug_prints_the_traceback(arguments: list[str], capsys: Capture) -> None:
    assert run_command(arguments) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "error: there is no study file or bundled study 'nix'" in shown


def test_debug_after_two_dashes_is_an_argument(capsys: Capture) -> None:
    assert run_command(["run", "--", "--debug"]) == 2
    assert "hpo run --trials 50 -- --debug" in capsys.readouterr().err


def test_study_file_with_mistakes_lists_them_all(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("study: s\ntrials: 0\nfixed: {lr: fast}\n")
    assert run_command(["run", str(path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: 2 mistakes in the study {path}",
        f"  {path}:2: trials: 0 is below 1, the smallest allowed",
        f"  {path}:3: lr: 'fast' is not a number",
    ]


def test_closed_pipe_is_not_an_error(demo: str) -> None:
    sql = "SELECT * FROM results, results r2"
    command = f"{sys.executable} -m hpo query --storage {demo} --format csv '{sql}' | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("study,")
    assert done.stderr == ""


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hpo.config.parsing.source.bundled_studies", interrupted)
    assert run_command(["studies", "--bundled"]) == 130


class _Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def written_to(kind: type[io.TextIOWrapper], arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Run a command whose standard output has only ASCII; return what it wrote."""
    written = io.BytesIO()
    with kind(written, encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert run_command(arguments) == 0
        stream.flush()
        return written.getvalue()


def test_ascii_terminal_shows_question_marks(demo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"???" in written_to(_Terminal, ["show", "demo", "1"], monkeypatch)


@pytest.mark.parametrize("stream", [_Terminal, io.TextIOWrapper])
@pytest.mark.parametrize(
    "arguments",
    [
        ["query", "SELECT char(381, 9731) AS word", "--format", "csv"],
        ["query", "SELECT char(381, 9731) AS word", "--format", "json"],
        ["query", "SELECT char(381, 9731) AS word", "--format", "markdown"],
    ],
)
def test_data_are_utf8_whatever_the_encoding_of_the_terminal(
    stream: type[io.TextIOWrapper], arguments: list[str], demo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Ž☃".encode() in written_to(stream, [*arguments, "--storage", demo], monkeypatch)


def test_text_in_a_pipe_is_utf8(demo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "█".encode() in written_to(io.TextIOWrapper, ["show", "demo", "1"], monkeypatch)


def test_data_of_a_process_without_unicode_are_utf8(demo: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "hpo", "query", "SELECT char(381, 9731) AS word", "--storage", demo]
    done = subprocess.run([*command, "--format", "csv"], capture_output=True, env=environment, check=True)
    assert done.stdout.decode() == "word\nŽ☃\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["report", "demo", "-o", ""], ". is a folder: choose a file in it with -o"),
        (["export", "\udcff"], "there is no study \\udcff in this database"),
        (["show", "\udcff", "0"], "there is no study \\udcff in this database"),
        (
            ["db", "backup", "-o", "copy.db", "--storage", "sqlite:///folder"],
            "it is a folder, not a database file",
        ),
    ],
)
def test_odd_names_are_mistakes_and_no_crash(
    command: list[str],
    message: str,
    demo: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run_command(command) in (1, 2)
    said = capsys.readouterr().err
    assert message in said and "should not happen" not in said
