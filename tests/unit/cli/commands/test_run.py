from __future__ import annotations

from typing import Any

import pytest

from hpo.cli.app import run_command
from hpo.events import RunSummary
from hpo.workers.ray.resources import RayWorkers


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run was asked for; nothing is trained."""
    found: dict[str, Any] = {}

    def run_study(spec: Any, url: str, **options: Any) -> RunSummary:
        found.update(options, spec=spec, url=url)
        return RunSummary("demo", 5, 6, True, 1.0, 143)

    monkeypatch.setattr("hpo.workers.run.run_study", run_study)
    return found


@pytest.mark.usefixtures("demo")
def test_the_default_number_of_workers_is_shown_with_its_reason(
    asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hpo.training.cores.available_cores", lambda: 3)
    run_command(["run", "quickstart", "--device", "cpu"])
    assert asked["workers"] == 3
    assert "workers: 3 (one per core" in capsys.readouterr().err


@pytest.mark.usefixtures("demo", "asked")
def test_more_workers_than_cores_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hpo.training.cores.available_cores", lambda: 2)
    run_command(["run", "quickstart", "--workers", "2"])
    assert "warning" not in capsys.readouterr().err
    run_command(["run", "quickstart", "--workers", "5", "--json"])
    assert "warning: 5 workers share 2 cores" in capsys.readouterr().err


def test_options_reach_the_run_and_its_exit_code_comes_back(
    demo: str, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--workers", "3", "--trials", "7", "--set", "epochs=2", "--set", "lr=0.1", "--device", "cpu"]
    assert run_command(["run", "quickstart", *options]) == 143
    assert (asked["workers"], asked["device"], asked["url"]) == (3, "cpu", demo)
    spec = asked["spec"]
    assert (spec.trials, spec.fixed["epochs"], spec.fixed["lr"]) == (7, 2, 0.1)
    assert "stopped: 5 of 6 trials of demo" in capsys.readouterr().out


def test_a_study_of_the_database_without_its_file_is_left_to_workers(
    demo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", "demo", "--storage", demo]) == 2
    assert "`hpo worker demo --until-idle` resumes it as submitted" in capsys.readouterr().err
    for name, storage in (("nothing", demo), ("demo", "sqlite:///missing.db"), ("demo", "mysql://x/y")):
        assert run_command(["run", name, "--storage", storage]) == 2
        said = capsys.readouterr().err
        assert "no study file or bundled study" in said and "hpo worker" not in said


@pytest.fixture
def on_ray(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run on Ray was asked for; nothing is trained."""
    found: dict[str, Any] = {}

    def run_on_ray(spec: Any, url: str, **options: Any) -> RunSummary:
        found.update(options)
        return RunSummary("demo", 5, 6, True, 1.0, 143)

    monkeypatch.setattr("hpo.workers.ray.run.run_on_ray", run_on_ray)
    return found


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        (["--ray", "quickstart"], RayWorkers()),
        (["quickstart", "--ray"], RayWorkers()),
        (["quickstart", "--ray", "--max-workers", "3"], RayWorkers(max_workers=3)),
        (["--ray", "auto", "quickstart"], RayWorkers("auto")),
        (["quickstart", "--ray=head:6379", "--cpus-per-worker", "4", "--gpus-per-worker", "0.25"],
         RayWorkers("head:6379", 4, 0.25)),
    ],
)  # fmt: skip
def test_ray_may_stand_without_an_address(
    on_ray: dict[str, Any], arguments: list[str], workers: RayWorkers
) -> None:
    assert run_command(["run", *arguments]) == 143
    assert on_ray["workers"] == workers


@pytest.mark.usefixtures("demo", "on_ray", "asked")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-workers", "2"], "--max-workers is for workers on a Ray cluster: add --ray"),
        (["--cpus-per-worker", "2"], "--cpus-per-worker is for workers on a Ray cluster"),
        (["--ray", "--workers", "2"], "with --ray use --max-workers"),
        (
            ["--ray", "--gpus-per-worker", "1.5"],
            "--gpus-per-worker 1.5: must be a whole number or less than 1",
        ),
        (["--ray=somewhere"], "'somewhere' is not the address of a Ray cluster"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", "quickstart", *options]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.usefixtures("demo")
def test_without_ray_the_install_command_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hpo.workers.ray.run.find_spec", lambda name: None)
    assert run_command(["run", "quickstart", "--ray"]) == 2
    assert "pip install 'hpo-babysitter[ray]'" in capsys.readouterr().err


@pytest.mark.usefixtures("demo")
def test_hpo_run_takes_what_follows_the_dashes(asked: dict[str, Any]) -> None:
    options = ["--trials", "5", "--study", "mine", "--workers", "1", "--device", "cpu"]
    run_command(
        ["run", *options, "--", "python", "train.py", "--lr~log(1e-4, 1e-1)", "--ray", "--workers", "9"]
    )
    spec = asked["spec"]
    assert spec.command == ("python", "train.py", "--lr", "{lr}", "--ray", "--workers", "9")
    assert (spec.study, spec.trials, asked["workers"]) == ("mine", 5, 1)


@pytest.mark.usefixtures("demo", "asked")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["--", "python", "train.py", "--lr~log(1, 2)"],
            "how many trials? Write hpo run --trials 50 -- python",
        ),
        (["quickstart", "more"], "one study at a time: quickstart is followed by more"),
        (["quickstart", "--study", "mine"], "--study is for a command after --"),
    ],
)
def test_hpo_run_refuses_a_command_that_is_none(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", *words]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["python", "train.py", "--lr~log(1, 2)"], "--lr~log(1, 2): write -- before the program: hpo run "),
        (["--trials", "3", "a.py", "lr=~choice(1, 2)"], "lr=~choice(1, 2): write -- before the program"),
        (["--", "python3"], "how many trials? Write hpo run --trials 50 -- python3"),
        (["--trials", "3", "--", "python3"], "no argument is searched: write e.g. --lr~"),
        (["python3"], "a command is searched by hpo run --trials 50 -- python train.py --lr~"),
        (["--study", "", "--trials", "3", "--", "python3", "lr~log(1, 2)"], "'' is not a valid study name"),
    ],
)
def test_command_in_the_wrong_form_is_refused_with_the_right_one(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", *words]) == 2
    assert problem in capsys.readouterr().err


def test_program_of_one_word_is_a_command_after_two_dashes(asked: dict[str, Any]) -> None:
    run_command(["run", "--trials", "3", "--set", "space.lr={log: [1e-3, 1]}", "--", "./train"])
    assert asked["spec"].command == ("./train",)
    assert list(asked["spec"].space) == ["lr"]
    run_command(["run", "--", "quickstart"])
    assert asked["spec"].study == "quickstart" and asked["spec"].command is None


def test_tilde_in_an_ordinary_study_is_not_a_search(asked: dict[str, Any]) -> None:
    run_command(["run", "quickstart", "--storage", "sqlite:///a~b.db"])
    assert asked["spec"].study == "quickstart"
