"""Export of a trial of the user's own training: what it kept, and its parameters, in a folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.artifacts import store
from hpo.artifacts.bundle import document
from hpo.config.study import StudySpec
from hpo.errors import UserError
from hpo.files import atomic_folder
from hpo.queries.trial import TrialDetail, trial_detail
from hpo.storage.studies import find_registered, results_engine
from hpo.trial.export import check_complete, check_output, default_trial

PARAMETERS, CARD, FILES = "parameters.json", "README.md", "files"


@dataclass(frozen=True)
class ExportedOwn:
    """The folder that was written, and what is in it."""

    folder: Path
    study: str
    trial: int
    objective: str
    value: float
    best_epoch: int | None
    parameters: dict[str, Any]
    states: list[str]
    """The names of the states that were kept."""
    with_tensors: list[str]
    """Those of them that have tensors, in ``weights.safetensors``; the others are in ``trial.json``."""
    files: list[str]
    why: str
    """Why this trial was exported; empty if it was asked for, or is the best."""
    note: str
    """Why there are only parameters; empty if it has kept something."""


def own_training(url: str, study: str) -> StudySpec | None:
    """Return the specification of a study of the user's own training; None for the built-in one."""
    engine = results_engine(url)
    try:
        found = find_registered(engine, study)
    finally:
        engine.dispose()
    return found.spec if found is not None and found.spec.is_own else None


def export_own(url: str, spec: StudySpec, number: int | None, output: Path | None) -> ExportedOwn:
    """Write the parameters of a complete trial, by default the best one, and what it kept, into a new folder.

    Once a confirmation has chosen, the best is a training of the confirmed configuration.

    Raises ``UserError`` if the folder cannot be written, and ``ArtifactError`` if what it kept is damaged.
    """
    trial, why = _trial(url, spec.study, number)
    place = output or Path(f"{spec.study}-trial-{trial.number}")
    check_output(place)
    kept = store.find(trial.study_uid, trial.number)
    files = store.files_folder(trial.study_uid, trial.stage, trial.slot)
    names = _files(trial)
    note = _nothing(spec) if kept is None and not names else ""
    assert trial.value is not None  # it is complete
    states: list[str] = []
    with_tensors: list[str] = []
    try:
        with atomic_folder(place) as temporary:
            if kept is not None:
                states, with_tensors = _copy_states(kept, temporary)
            if names:
                shutil.copytree(files, temporary / FILES)
            parameters = {name: each for name, each in trial.configuration.items() if each is not None}
            exported = ExportedOwn(
                place,
                trial.study,
                trial.number,
                trial.objective,
                trial.value,
                trial.best_epoch,
                parameters,
                states,
                with_tensors,
                names,
                why,
                note,
            )
            (temporary / PARAMETERS).write_bytes(document(parameters))
            (temporary / CARD).write_text(_card(exported), encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {place}: {error.strerror or error}") from None
    return exported


def _trial(url: str, study: str, number: int | None) -> tuple[TrialDetail, str]:
    """Return the trial to export, and why it is this one."""
    engine = results_engine(url)
    try:
        why = ""
        if number is None:
            number, why = default_trial(engine, study, _has_states, lambda trial: bool(_files(trial)))
        trial = trial_detail(engine, study, number)
    finally:
        engine.dispose()
    check_complete(trial)
    return trial, why


def _has_states(trial: TrialDetail) -> bool:
    return store.find(trial.study_uid, trial.number) is not None


def _files(trial: TrialDetail) -> list[str]:
    folder = store.files_folder(trial.study_uid, trial.stage, trial.slot)
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())


def _copy_states(kept: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Copy the best epoch's states, verified; return their names, and of those that have tensors."""
    described, content = store.read(kept)
    (folder / store.WEIGHTS).write_bytes(content)
    (folder / store.DOCUMENT).write_bytes(document(described))
    names = sorted(described.get("states", {}))
    tensors = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # the header of safetensors
    return names, [name for name in names if any(each.startswith(f"{name}.") for each in tensors)]


def _nothing(spec: StudySpec) -> str:
    """Return why there are no states and files, and what would be kept."""
    if spec.command is not None:
        return "a command keeps what it writes into {trial.artifacts} (HPO_TRIAL_ARTIFACTS)"
    if spec.interface == "optuna":
        return (
            "an optuna.Trial keeps no states. Save them yourself, or write the training for hpo.Trial, "
            "whose trial.keep(model=...) and trial.artifact(path) are exported"
        )
    return (
        f"the states of trial.keep(model=...) are kept for the best trials of a study (keep_best: "
        f"{spec.keep_best}), the files of trial.artifact(path) for all"
    )


def _card(exported: ExportedOwn) -> str:
    at = f" in epoch {exported.best_epoch}" if exported.best_epoch else ""
    lines = [
        f"# Trial {exported.trial} of {exported.study}",
        "",
        f"{exported.objective}: {exported.value}{at}",
        "",
        *([exported.why, ""] if exported.why else []),
        "| parameter | value |",
        "|---|---|",
        *(f"| {name} | {each} |" for name, each in exported.parameters.items()),
        "",
    ]
    if exported.states:
        lines += [
            f"The training kept {', '.join(exported.states)}. This is how they were at the best epoch: "
            f"`{store.DOCUMENT}` has their numbers and texts, and the versions of the code.",
        ]
    for name in exported.with_tensors[:1]:
        lines += [
            f"`{store.WEIGHTS}` has the tensors of {', '.join(exported.with_tensors)}; their names begin "
            "with that of their state:",
            "",
            "```python",
            "from safetensors.torch import load_file",
            "",
            f'states = load_file("{store.WEIGHTS}")',
            f'prefix = "{name}."',
            f"{name}.load_state_dict(",
            "    {key.removeprefix(prefix): each for key, each in states.items() if key.startswith(prefix)}",
            ")",
            "```",
        ]
    if exported.note:
        lines += [f"The training kept no states and no files: {exported.note}."]
    if exported.files:
        lines += ["", f"`{FILES}/` has the files that the trial kept: {', '.join(exported.files)}."]
    return "\n".join(lines).rstrip() + "\n"
