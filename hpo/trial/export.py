"""Export of a stored trial to a folder that needs no database: saved or retrained weights, measured again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from sqlalchemy import Engine
from torch import Tensor

from hpo.artifacts import bundle, store
from hpo.artifacts.card import CardFacts, MeasuredOn, card, metrics_document
from hpo.artifacts.metrics import Measured, measure
from hpo.artifacts.model import build_network, load_exported
from hpo.artifacts.program import PixelNetwork, make_program, users_program
from hpo.config.configuration import Configuration
from hpo.data.datasets import Dataset
from hpo.data.preprocess import Preprocessor
from hpo.data.split import Split, split, split_key
from hpo.errors import DataError, ExportError, UserError
from hpo.files import atomic_folder
from hpo.queries.stages import confirmed_runs, stages_status
from hpo.queries.study import best_leader, leaderboard, study_goal, study_status
from hpo.queries.tradeoffs import study_tradeoffs
from hpo.queries.trial import TrialDetail, preprocessing_state, trial_detail
from hpo.rng import Key
from hpo.stages.store import find_stage
from hpo.storage.engine import reading
from hpo.storage.studies import RegisteredStudy, find_registered, results_engine
from hpo.text import counted
from hpo.training.network_state import load_network_state
from hpo.training.study_images import load_registered_images
from hpo.trial.reproduce import Repeat, RepeatedEpoch

Weights = Mapping[str, Tensor]

_TOLERANCE = 0.01
"""Tolerated difference in accuracy: bf16 against fp32, or another device, changes a few images."""


@dataclass(frozen=True)
class Exported:
    """The folder that was written, and the accuracy of its network."""

    folder: Path
    study: str
    trial: int
    measured_on: MeasuredOn
    recorded_accuracy: float | None
    """None if the study recorded only another metric on these images."""
    measured: Measured
    program_accuracy: float | None
    no_program: str
    retrained: bool
    recorded_on: str
    """The device and the precision that the recorded accuracy was measured with."""
    views: int = 1
    """Of each image, over which a second accuracy was measured; 1 if there is none."""


def default_trial(engine: Engine, study: str, *has_kept: Callable[[TrialDetail], bool]) -> tuple[int, str]:
    """Return the trial to export and why it is this one, empty if it is the best.

    Once a confirmation has chosen, it is the best training of the chosen configuration that has kept
    something, by the first of ``has_kept`` that any of them meets: the best trial of all is a lucky one.

    Raises ``UnknownStudyError``, and ``UserError`` if no trial is complete.
    """
    best, winner = best_leader(engine, study), stages_status(engine, study).winner
    if best is None:
        tradeoffs = study_tradeoffs(engine, study)
        if tradeoffs is not None and tradeoffs.none_within:
            raise UserError(f"{tradeoffs.none_within}, so there is nothing to export")
        raise UserError(f"no trial of {study} is complete yet: there is nothing to export")
    if winner is None:
        return best.number, ""
    goal = study_goal(engine, study)
    runs = [trial_detail(engine, study, each) for each in (*confirmed_runs(engine, study), winner.number)]
    chosen = next((each.number for kept in has_kept for each in runs if kept(each)), winner.number)
    why = (
        f"confirmed: the configuration of trial {winner.number}, mean {goal.metric} "
        f"{goal.text(winner.mean)} of {counted(winner.completed or 0, 'training')}"
    )
    if chosen != winner.number:
        why += f", of which trial {chosen} is the best that was kept"
    return chosen, why


class Export:
    """A complete trial, ready to be exported; by default its study's winner.

    The winner is the trial that was measured on the test images, else a training of the confirmed
    configuration (``why`` says so), else the best one. The export is measured on
    the same images as the trial's value, so its weights must reproduce that value.

    Raises ``UnknownStudyError``, ``UserError`` for a trial that cannot be exported, and ``DataError`` if the
    study's images, which the measurement needs, are not on this machine.
    """

    def __init__(self, url: str, study: str, number: int | None = None) -> None:
        self._url = url
        engine = results_engine(url)
        try:
            best = next((each.number for each in leaderboard(engine, study, 1)), None)
            looks = [look.number for look in stages_status(engine, study).looks]
            self.why = ""
            wanted = number if number is not None else next(iter(looks), None)
            if wanted is None:
                wanted, self.why = default_trial(
                    engine, study, lambda each: store.find(each.study_uid, each.number) is not None
                )
            self.trial = trial_detail(engine, study, wanted)
            check_complete(self.trial)
            self._trials_finished = study_status(engine, study).summary.done
            self._statistics = preprocessing_state(engine, study, self.trial.number)
            found = find_registered(engine, study)
            assert found is not None  # trial_detail has just read it
            with reading(engine) as connection:
                self._stage = find_stage(connection, found.study_id, found.spec, self.trial.stage)
        finally:
            engine.dispose()
        self._study: RegisteredStudy = found
        self._is_best = self.trial.number == best
        self._look = looks.index(self.trial.number) + 1 if self.trial.number in looks else 0
        self.measured_on: MeasuredOn = "test" if self._look else "val"
        self._dataset = self._images()
        self.configuration = _configuration(self.trial, self._dataset)
        self._split = self._rows()
        self._retrained = False

    def kept_weights(self) -> Weights | None:
        """Return the weights of its best epoch if they were saved. Raises ``ArtifactError`` if damaged."""
        found = store.find(self._study.uid, self.trial.number)
        return store.load(found).weights if found else None

    def retrain(self, on_epoch: Callable[[], None]) -> Weights:
        """Train the trial again and return its best epoch's weights; call ``on_epoch`` after each epoch.

        Raises ``ExportError`` if the result differs from what was recorded.
        """
        repeated = Repeat(self._url, self.trial.study, self.trial.number)
        best: Weights = {}
        for each in repeated.run():
            if isinstance(each, RepeatedEpoch):
                on_epoch()
                if each.epoch == self.trial.best_epoch:
                    best = {name: part.detach().cpu().clone() for name, part in repeated.weights().items()}
            elif not each.matches:
                raise ExportError(_mismatch(self.trial))
        self._retrained = True
        return best

    def write(self, weights: Weights, output: Path) -> Exported:
        """Write the folder, which appears atomically. Raises ``UserError`` if it cannot be written."""
        check_output(output)
        try:
            # What a user's network prints is not the command's result.
            with redirect_stdout(sys.stderr), atomic_folder(output) as temporary:
                exported = self._fill(weights, temporary)
        except OSError as error:
            raise UserError(f"cannot write {output}: {error.strerror or error}") from None
        return replace(exported, folder=output)

    def _fill(self, weights: Weights, path: Path) -> Exported:
        labels = self._dataset.classes
        program, no_program = self._program(weights)
        files = {
            bundle.WEIGHTS: safetensors.torch.save(_packed(weights)),
            bundle.PREPROCESSING: self._statistics,
            bundle.CONFIGURATION: bundle.document(self.configuration.applicable()),
            bundle.LABELS: bundle.document(labels),
            **({bundle.PROGRAM: program} if program is not None else {}),
        }
        bundle.write_sealed(path, self.trial.study, self.trial.number, files)
        measured = self._measure(path)
        of_program = self._measure(path, program=True).accuracy if program is not None else None
        facts = self._facts(no_program)
        (path / bundle.METRICS).write_bytes(self._metrics(facts, measured, of_program))
        (path / bundle.CARD).write_text(card(facts, self.configuration, labels, measured), encoding="utf-8")
        return Exported(
            folder=path,
            study=self.trial.study,
            trial=self.trial.number,
            measured_on=self.measured_on,
            recorded_accuracy=facts.recorded_accuracy,
            measured=measured,
            program_accuracy=of_program,
            no_program=no_program,
            retrained=self._retrained,
            views=int(self.configuration.eval_views),
            recorded_on=f"{facts.device} in {facts.precision or 'an unknown precision'}",
        )

    def _metrics(self, facts: CardFacts, measured: Measured, of_program: float | None) -> bytes:
        views = int(self.configuration.eval_views)
        return bundle.document(metrics_document(facts, measured, of_program, views))

    def _program(self, weights: Weights) -> tuple[bytes | None, str]:
        """Return the torch.export program, or None with the reason why a user's own network has none."""
        network = build_network(self.configuration, len(self._dataset.classes), self._dataset.image_shape)
        try:
            load_network_state(network, weights)
        except RuntimeError as error:
            raise ExportError(
                f"the weights of trial {self.trial.number} do not fit {self.configuration.model}: its code "
                "has changed since the training"
            ) from error
        model = PixelNetwork(network, Preprocessor.from_state(safetensors.torch.load(self._statistics)))
        name = self.configuration.model
        shape = self._dataset.image_shape
        return users_program(model, shape, name) if ":" in name else (make_program(model, shape), "")

    def _measure(self, path: Path, *, program: bool = False) -> Measured:
        """Measure the written files as their users load them. Raises ``ExportError`` if the value differs."""
        measured = measure(load_exported(path, program=program), *self._images_to_measure())
        accuracy, loss = self._recorded
        tolerance = max(_TOLERANCE, _TOLERATED_IMAGES / measured.images)
        if accuracy is not None and abs(measured.accuracy - accuracy) > tolerance:
            raise self._differs("accuracy", accuracy, measured.accuracy)
        if loss is not None and abs(measured.loss - loss) > _TOLERANCE * max(1.0, loss):
            raise self._differs("loss", loss, measured.loss)
        return measured

    @property
    def _recorded(self) -> tuple[float | None, float | None]:
        """The accuracy and the loss that were recorded; None for what was not, or is not compared.

        The loss only where the study recorded nothing else, as on the test images.
        """
        trial = self.trial
        if trial.goal.counts_images:
            return trial.value, None
        if self.measured_on == "test":
            return None, trial.value
        assert trial.best_epoch is not None  # it is complete
        return trial.curve[trial.best_epoch - 1].val_accuracy, None

    def _differs(self, what: str, recorded: float, measured: float) -> ExportError:
        return ExportError(
            f"trial {self.trial.number} was recorded with {self.measured_on}_{what} {recorded:.4f}, "
            f"but these weights give {measured:.4f}: nothing was exported"
        )

    def _images_to_measure(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        if self.measured_on == "test":
            # Copies: PyTorch warns about read-only arrays, such as those of a memory-mapped file.
            return np.array(self._dataset.test_images), np.array(self._dataset.test_labels)
        rows = self._split.val
        return self._dataset.train_images[rows], self._dataset.train_labels[rows]

    def _facts(self, no_program: str) -> CardFacts:
        trial, study = self.trial, self._study
        attempt = trial.attempts[-1]
        assert trial.value is not None and trial.best_epoch is not None  # it is complete
        return CardFacts(
            study=trial.study,
            trial=trial.number,
            slot=trial.slot,
            stage=trial.stage,
            seed=study.spec.seed,
            trials_finished=self._trials_finished,
            is_best=self._is_best,
            searched=trial.searched,
            parameters=trial.parameters,
            best_epoch=trial.best_epoch,
            recorded_accuracy=self._recorded[0],
            measured_on=self.measured_on,
            look=self._look,
            dataset=self._dataset.name,
            fingerprint=self._dataset.fingerprint,
            train_images=len(self._split.train),
            validation=self._dataset.division.kind,
            verdict=trial.verdict,
            device=trial.device,
            processor=attempt.processor,
            threads=attempt.threads,
            precision=attempt.precision,
            code_version=attempt.code_version,
            package_versions=attempt.package_versions or {},
            retrained=self._retrained,
            no_program=no_program,
        )

    def _images(self) -> Dataset:
        dataset = load_registered_images(self._study)
        if dataset.fingerprint != self._study.fingerprint:
            raise DataError(
                f"the images of {self.trial.study} have changed since it was created (SHA-256 "
                f"{self._study.fingerprint[:12]} then, {dataset.fingerprint[:12]} now): the accuracy of an "
                "exported trial cannot be measured on them"
            )
        return dataset

    def _rows(self) -> Split:
        return split(
            self._dataset.train_labels,
            self._dataset.classes,
            self.configuration.val_fraction,
            self.configuration.train_images,
            split_key(Key(self._study.spec.seed)),
            self._stage.fold(self.trial.slot),
            self._dataset.division,
        )


_TOLERATED_IMAGES = 2
"""The least tolerance in images, if ``_TOLERANCE`` is less."""


def _packed(weights: Weights) -> dict[str, Tensor]:
    """Copy the weights as safetensors requires: contiguous, without shared memory."""
    return {name: each.clone(memory_format=torch.contiguous_format) for name, each in weights.items()}


def check_output(output: Path) -> None:
    """Raise ``UserError`` if the folder cannot be created."""
    if output.exists():
        raise UserError(f"{output} already exists: choose another folder with -o, or remove it")
    if not output.absolute().parent.is_dir():
        raise UserError(f"there is no folder {output.absolute().parent} to create {output.name} in")


def check_complete(trial: TrialDetail) -> None:
    """Raise ``UserError`` unless the trial is complete."""
    if trial.state == "complete":
        return
    why = f": {trial.verdict}" if trial.verdict else ""
    raise UserError(
        f"trial {trial.number} of {trial.study} is {trial.state}{why}; only complete trials can be exported"
    )


def _configuration(trial: TrialDetail, dataset: Dataset) -> Configuration:
    values = {name: value for name, value in trial.configuration.items() if value is not None}
    values.pop("data_root", None)  # a path on this machine, which predictions do not need
    return Configuration(**{**values, **dataset.format.fields})  # earlier versions did not store the format


def _mismatch(trial: TrialDetail) -> str:
    return (
        f"trial {trial.number} of {trial.study} could not be reproduced, so it was not exported: "
        f"`hpo repeat {trial.study} {trial.number}` shows what differs"
    )
