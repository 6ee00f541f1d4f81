"""What the file of an objective for Optuna says of its study, and how it is imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hpo.errors import ConfigurationError
from hpo.training.optuna_scripts import objective_document, until_optimize
from hpo.training.users_code import import_function

OBJECTIVE = "import optuna\ndef objective(trial): return 1.0\n"


def _document(folder: Path, text: str, *overrides: str) -> dict[str, object]:
    (folder / "mine.py").write_text(OBJECTIVE + text)
    return objective_document(folder / "mine.py", "mine:objective", overrides)


def test_an_objective_has_the_defaults_of_optuna(tmp_path: Path) -> None:
    assert _document(tmp_path, "") == {
        "study": "mine.objective",
        "trainer": "mine:objective",
        "interface": "optuna",
        "objective": "value",
        "direction": "minimize",
        "sampler": "tpe",
        "pruner": "median",
    }


@pytest.mark.parametrize(
    ("call", "direction", "trials"),
    [
        ("optuna.create_study(direction='maximize').optimize(objective, n_trials=7)", "maximize", 7),
        (
            "study = create_study(direction=StudyDirection.MAXIMIZE)\nstudy.optimize(objective, 9)",
            "maximize",
            9,
        ),
        ("def main():\n    optuna.create_study(directions=['maximize'])", "maximize", None),
        ("optuna.create_study().optimize(objective, n_trials=N)", "minimize", None),
        ("study.optimize(objective, 3)\nstudy.optimize(objective, 4)", "minimize", None),
    ],
)
def test_direction_and_trials_are_those_of_the_file(
    tmp_path: Path, call: str, direction: str, trials: int | None
) -> None:
    document = _document(tmp_path, call)
    assert (document["direction"], document.get("trials")) == (direction, trials)


def test_a_direction_that_the_file_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    call = "optuna.create_study(direction=sys.argv[1])"
    with pytest.raises(
        ConfigurationError, match=r"mine\.py, line 3: the direction of the study is not known"
    ):
        _document(tmp_path, call)
    assert _document(tmp_path, call, "direction=maximize")["direction"] == "minimize"  # replaced by --set
    both = "optuna.create_study(direction='maximize')\noptuna.create_study(direction='minimize')"
    with pytest.raises(ConfigurationError, match="is not known: add --set direction=maximize or"):
        _document(tmp_path, both)


def test_several_objectives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="line 3: hpo optimizes one objective"):
        _document(tmp_path, "optuna.create_study(directions=['minimize', 'maximize'])")


def test_a_file_is_imported_up_to_its_optimize(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine_optimizes.py").write_text(
        OBJECTIVE + "study = optuna.create_study(storage='sqlite:///mine.db', study_name='mine')\n"
        "study.optimize(objective, n_trials=3)\nprint(study.best_value)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert import_function("trainer", "mine_optimizes:objective")(None) == 1.0
    assert not (tmp_path / "mine.db").exists() and not capfd.readouterr().out
    import optuna

    study = optuna.create_study()
    study.optimize(lambda trial: 2.0, n_trials=1)  # elsewhere Optuna is as it was
    assert study.best_value == 2.0


def test_other_modules_are_imported_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_other.py").write_text(
        "class Own:\n    def optimize(self): return 5\nfound = Own().optimize()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with until_optimize("mine_other"):
        import mine_other  # type: ignore[import-not-found]
    assert mine_other.found == 5
