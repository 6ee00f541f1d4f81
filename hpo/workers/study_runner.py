"""A study that a worker has taken up: its workbench, and one thing at a time to do for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cache, partial

from pydantic import ValidationError

from hpo.artifacts.best_weights import delete_stale_weights
from hpo.config.methods import Asha
from hpo.config.study import StudySpec
from hpo.data.datasets import load_study_images
from hpo.diagnosis.refresh import refresh
from hpo.errors import LeaseLostError, StorageError, StudyChangedError, UnknownStudyError, UserError
from hpo.events import LeaseLost, TrialEnded
from hpo.queue.control import database_time, stop_if_failing
from hpo.queue.leases import claim, release, release_dead_local
from hpo.queue.pausing import claim_promoted, end_paused, paused_stages
from hpo.queue.slots import study_progress
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
from hpo.training.device import release_trial_memory, resolve_device
from hpo.training.model_factory import check_model
from hpo.trial.checkpoint_files import remove_study_checkpoints
from hpo.trial.context import TrialContext
from hpo.trial.run import run_trial
from hpo.workers.messages import Emit


class StudyRunner:
    """What a worker does for one study; failures count that came after ``since``."""

    def __init__(self, bench: TrialContext, since: datetime) -> None:
        self.bench = bench
        self.since = since

    def do_one_thing(self, before_training: Callable[[], None]) -> bool:
        """Train a trial, or end a paused one, or begin the next stage; False if there was none of it.

        Raises ``FailingStudyError`` when too many trials failed in a row, ``StudyStoppedError`` after
        `hpo stop`, ``StopRequestedError`` after a signal, with the lease given back.
        """
        bench = self.bench
        stop_if_failing(bench.store, bench.study_id, bench.spec, self.since)
        fault_point("worker.claim")
        lease = _claim(bench)
        fault_point("worker.claimed")
        if lease is not None:
            before_training()
            _work_on(bench, lease)
            release_trial_memory()
            return True
        if _end_paused(bench):
            return True
        if not study_progress(bench.store, bench.study_id).open:
            fault_point("worker.advance")
            begun = advance(bench.store, bench.spec.study)
            fault_point("worker.advanced")
            return begun
        return bool(release_dead_local(bench.store, bench.study_id))

    def is_over(self) -> bool:
        """Whether all of its trials are over; not if it was deleted."""
        now = study_progress(self.bench.store, self.bench.study_id)
        return now.done > 0 and now.done == now.total

    def end(self) -> None:
        """Say what its trials say of it, and remove what workers left that died right after a trial."""
        bench = self.bench
        with suppress(UnknownStudyError):  # deleted a moment ago
            refresh(bench.store, bench.spec.study)
        remove_study_checkpoints(settings().checkpoints.expanduser(), bench.study_uid)
        delete_stale_weights(bench.store, bench.study_id, bench.study_uid, bench.spec.keep_best)


def load_runner(
    name: str,
    store: ResultsStore,
    device: str,
    emit: Emit,
    check_stop: Callable[[], None],
    since: datetime | None = None,
) -> StudyRunner:
    """Make ready for a study's trials; ``since`` None is now.

    Raises ``UserError``: its images are not here or are others than it began with, its network cannot be
    built, it is no longer in the database or of another hpo.
    """
    bench = _workbench(_registered(store, name), store, device, emit, check_stop)
    return StudyRunner(bench, since or database_time(store))


def _registered(store: ResultsStore, name: str) -> RegisteredStudy:
    """The study as the database has it; raises ``UnknownStudyError``, and ``UserError`` for another hpo's."""
    try:
        study = find_registered(store.engine, name)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UserError(
            f"study {name} was submitted by another hpo, whose study files have what this one's have not: "
            f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}"
        ) from error
    if study is None:
        raise UnknownStudyError(f"study {name} is no longer in the database: was it deleted?")
    return study


def _workbench(
    study: RegisteredStudy, store: ResultsStore, device: str, emit: Emit, check_stop: Callable[[], None]
) -> TrialContext:
    name = study.spec.study
    dataset = load_study_images(study.spec, study.dataset)
    if dataset.fingerprint != study.fingerprint:
        raise StudyChangedError(f"study {name} began with other images than those now at {dataset.origin}")
    _check_models(study.spec, len(dataset.classes))
    return TrialContext(
        spec=study.spec,
        study_id=study.study_id,
        study_uid=study.uid,
        store=store,
        suggestions=Suggestions(store, study.study_id, study.spec.space),
        dataset=dataset,
        device=resolve_device(device),
        worker=worker_id(),
        lease_seconds=settings().lease_seconds,
        emit=emit,
        stage=cache(partial(_find_stage, store, study)),
        check_stop=check_stop,
    )


def _find_stage(store: ResultsStore, study: RegisteredStudy, name: str) -> Stage:
    return store.read(lambda connection: find_stage(connection, study.study_id, study.spec, name))


def _check_models(spec: StudySpec, classes: int) -> None:
    """Refuse a network that cannot be built before anything is trained; raises ``ConfigurationError``."""
    searched = spec.space.get("model")
    for name in searched.extremes() if searched else [spec.fixed.get("model", "convnet")]:
        check_model(spec.configuration({"model": name}), classes=classes)


def _claim(bench: TrialContext) -> Lease | None:
    """A paused trial that is now among the best before one that nobody has begun."""
    for stage, pruner in _pausing(bench):
        choose, say = partial(promotable, pruner), partial(promoted, pruner)
        lease = claim_promoted(
            bench.store, bench.study_id, stage, bench.worker, bench.lease_seconds, choose, say
        )
        if lease is not None:
            return lease
    return claim(bench.store, bench.study_id, bench.worker, bench.lease_seconds)


def _end_paused(bench: TrialContext) -> bool:
    """Whether there was a paused trial to end, since none of its stage runs, is to come or may go on."""
    for stage, pruner in _pausing(bench):
        choose, say = partial(promotable, pruner), partial(stopped_at_the_end, pruner)
        ended = end_paused(bench.store, bench.study_id, stage, choose, say)
        if ended is not None:
            bench.emit(TrialEnded(bench.worker, ended.number, "pruned", None, ended.verdict, ended.seconds))
            return True
    return False


def _pausing(bench: TrialContext) -> Iterator[tuple[str, Asha]]:
    """The stages in which trials are paused, each with its pruner."""
    rules = [bench.spec.pruner.rules, *(each.pruner.rules for each in bench.spec.stages if each.pruner)]
    if not any(can_pause(each) for each in rules):
        return  # asks the database nothing
    for name in paused_stages(bench.store, bench.study_id):
        pruner = bench.stage(name).spec.pruner.rules
        assert can_pause(pruner), f"only a pruner that can pause has paused trials of stage {name}"
        yield name, pruner


def _work_on(bench: TrialContext, lease: Lease) -> None:
    try:
        run_trial(bench, lease)
    except LeaseLostError:  # another worker has the slot now, and trains it
        bench.emit(LeaseLost(bench.worker, lease.slot))
    except StopRequestedError:
        fault_point("worker.release")
        with suppress(LeaseLostError, StorageError):  # else the lease runs out by itself
            release(bench.store, lease)
        fault_point("worker.released")
        raise
