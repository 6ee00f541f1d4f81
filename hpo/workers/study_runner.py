"""A study loaded by a worker, which does one step at a time for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache, partial

import torch

from hpo.artifacts.best_weights import delete_stale_weights
from hpo.config.methods import Asha
from hpo.data.datasets import Dataset
from hpo.diagnosis.refresh import refresh_findings
from hpo.errors import LeaseLostError, StorageError, StudyChangedError, UnknownStudyError
from hpo.events import LeaseLost, TrialEnded
from hpo.queue.control import database_time, stop_if_failing
from hpo.queue.leases import claim, release, release_dead_local
from hpo.queue.pausing import claim_promoted, end_paused, paused_stages
from hpo.queue.slots import study_progress
from hpo.queue.worker_registry import require_registered
from hpo.search.pruners import can_pause, promotable, promoted, stopped_at_the_end
from hpo.search.suggest import Suggestions
from hpo.settings import settings
from hpo.signals import StopRequestedError
from hpo.stages.advance import advance
from hpo.stages.store import Stage, find_stage
from hpo.storage.fence import Lease
from hpo.storage.identity import worker_id
from hpo.storage.store import ResultsStore
from hpo.storage.studies import RegisteredStudy, find_registered
from hpo.testing.faults import fault_point
from hpo.training.checkpoint_files import remove_study_checkpoints
from hpo.training.device import release_trial_memory, resolve_device
from hpo.training.rehearsal import check_models
from hpo.training.study_images import load_registered_images
from hpo.training.users_metric import check_metric
from hpo.training.users_trainer import check_own_training
from hpo.trial.context import TrialContext
from hpo.trial.run import run_trial
from hpo.workers.messages import Emit


class StudyRunner:
    """Does a worker's steps for one study; failed trials count from ``failures_since`` on."""

    def __init__(self, context: TrialContext, failures_since: datetime) -> None:
        self.context = context
        self.failures_since = failures_since

    def step(self, before_training: Callable[[], None]) -> bool:
        """Train a trial, end a paused one, or start the next stage; return False if there was nothing to do.

        Raises ``FailingStudyError`` when too many trials failed in a row, ``StudyStoppedError`` after
        `hpo stop`, ``StopRequestedError`` after a signal, after releasing the lease.
        """
        context = self.context
        stop_if_failing(context.store, context.study_id, context.spec, self.failures_since)
        fault_point("worker.claim")
        lease = _claim(context)
        fault_point("worker.claimed")
        if lease is not None:
            before_training()
            _train(context, lease)
            if context.dataset is not None:  # else the trial was in another process
                release_trial_memory()
            return True
        if _end_paused(context):
            return True
        if not study_progress(context.store, context.study_id).open:
            fault_point("worker.advance")
            advanced = advance(context.store, context.spec.study)
            fault_point("worker.advanced")
            return advanced
        return bool(release_dead_local(context.store, context.study_id))

    def is_over(self) -> bool:
        """Return whether all of its trials are over; False if the study was deleted."""
        now = study_progress(self.context.store, self.context.study_id)
        return now.done > 0 and now.done == now.total

    def conclude(self) -> None:
        """Store the study's findings, and delete files of workers that died right after a trial."""
        context = self.context
        with suppress(UnknownStudyError):  # deleted a moment ago
            refresh_findings(context.store, context.spec.study)
        remove_study_checkpoints(settings().checkpoints, context.study_uid)
        delete_stale_weights(context.store, context.study_id, context.study_uid, context.spec.kept_trials)


def load_study(
    name: str,
    store: ResultsStore,
    device: str,
    emit: Emit,
    check_stop: Callable[[], None],
    failures_since: datetime | None = None,
) -> StudyRunner:
    """Load a registered study, with its data set; ``failures_since`` None is now.

    Raises ``UserError`` if its data set is missing or has changed, its network cannot be built, or it was
    deleted or submitted by a different version of hpo.
    """
    study = find_registered(store.engine, name)
    if study is None:
        raise UnknownStudyError(f"study {name} is no longer in the database: was it deleted?")
    if study.spec.is_own:
        check_own_training(study.spec)
    where = resolve_device(device)
    dataset = None if study.spec.is_own else _load_images(study, where)
    context = TrialContext(
        spec=study.spec,
        study_id=study.study_id,
        study_uid=study.uid,
        store=store,
        suggestions=Suggestions(store, study.study_id, study.spec.space),
        dataset=dataset,
        device=where,
        worker=worker_id(),
        lease_seconds=settings().lease_seconds,
        emit=emit,
        stage=cache(partial(_find_stage, store, study)),
        check_stop=check_stop,
    )
    return StudyRunner(context, failures_since or database_time(store))


def _load_images(study: RegisteredStudy, device: torch.device) -> Dataset:
    """Return the images of a study that can be trained on."""
    dataset = load_registered_images(study)
    if dataset.fingerprint != study.fingerprint:
        raise StudyChangedError(
            f"study {study.spec.study} was created with a different data set than the one now at "
            f"{dataset.origin}"
        )
    check_models(study.spec, len(dataset.classes), dataset.image_shape, device)
    check_metric(study.spec, len(dataset.classes))
    return dataset


def _find_stage(store: ResultsStore, study: RegisteredStudy, name: str) -> Stage:
    return store.read(lambda connection: find_stage(connection, study.study_id, study.spec, name))


def _claim(context: TrialContext) -> Lease | None:
    """Claim a paused trial that is now among the best, else the next waiting slot."""
    for stage, pruner in _pausing(context):
        choose, decide = partial(promotable, pruner), partial(promoted, pruner)
        lease = claim_promoted(
            context.store, context.study_id, stage, context.worker, context.lease_seconds, choose, decide
        )
        if lease is not None:
            return lease
    return claim(context.store, context.study_id, context.worker, context.lease_seconds)


def _end_paused(context: TrialContext) -> bool:
    """End a paused trial that can no longer be resumed; return False if there is none."""
    for stage, pruner in _pausing(context):
        choose, decide = partial(promotable, pruner), partial(stopped_at_the_end, pruner)
        ended = end_paused(context.store, context.study_id, stage, choose, decide)
        if ended is not None:
            context.emit(
                TrialEnded(context.worker, ended.number, "pruned", None, ended.verdict, ended.seconds)
            )
            return True
    return False


def _pausing(context: TrialContext) -> Iterator[tuple[str, Asha]]:
    """Yield the stages that have paused trials, each with its pruner."""
    rules = [context.spec.pruner.rules, *(each.pruner.rules for each in context.spec.stages if each.pruner)]
    if not any(can_pause(each) for each in rules):
        return  # saves a query
    for name in paused_stages(context.store, context.study_id):
        pruner = context.stage(name).spec.pruner.rules
        assert can_pause(pruner), f"only a pruner that can pause has paused trials of stage {name}"
        yield name, pruner


def _train(context: TrialContext, lease: Lease) -> None:
    try:
        run_trial(context, lease)
    except LeaseLostError:  # another worker has the slot now, and trains it
        require_registered(context.store, context.worker)
        context.emit(LeaseLost(context.worker, lease.slot))
    except StopRequestedError:
        fault_point("worker.release")
        with suppress(LeaseLostError, StorageError):  # else the lease expires
            release(context.store, lease)
        fault_point("worker.released")
        raise
