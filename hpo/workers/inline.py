"""The worker loop, in this process: claim a slot, train it, again, until the study is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial

from hpo.errors import LeaseLostError, StorageError, StudyChangedError, UnknownStudyError
from hpo.events import DatabaseAway, DatabaseBack, TrialEnded
from hpo.keeping import remove_superfluous
from hpo.model_catalog import check_model
from hpo.pulse import beat
from hpo.queue.failures import database_time, stop_if_failing
from hpo.queue.identity import worker_id
from hpo.queue.leases import Lease, claim, release, release_dead_local
from hpo.queue.paused import claim_promoted, end_paused, paused_stages
from hpo.queue.registered import RegisteredStudy, find_registered
from hpo.queue.slots import progress
from hpo.queue.stages import Stage, find_stage
from hpo.recovery.checkpoint import remove_all
from hpo.recovery.faults import fault_point
from hpo.recovery.signals import StopRequestedError
from hpo.results.patience import Patience
from hpo.results.store import ResultsStore
from hpo.search.pruners import can_pause, promotable, promoted, stopped_at_the_end
from hpo.search.suggest import Suggestions
from hpo.settings import settings
from hpo.spec.pruner import Asha
from hpo.spec.study import StudySpec
from hpo.staging import advance
from hpo.training.cores import divide_threads
from hpo.training.device import prepare_process, resolve_device
from hpo.training.precision import resolve_precision
from hpo.trial import Workbench, run_trial
from hpo.workers.base import Emit, Ready, WorkOrder
from hpo.workers.submit import load_study_images

IDLE_SECONDS = 0.5
"""How often a worker without a slot looks whether another's lease has ended."""


def serve(
    order: WorkOrder,
    emit: Emit,
    check_stop: Callable[[], None],
    on_ready: Callable[[Ready], None],
) -> None:
    """Work until no slot of the study is waiting or held by anyone; ``on_ready`` hears on what.

    Raises ``StopRequestedError`` when ``check_stop`` does, with the lease given back, and
    ``FailingStudyError`` when too many trials failed in a row.
    """
    threads = divide_threads(order.workers)
    prepare_process(threads)
    worker = worker_id()
    patience = Patience(
        sleep=partial(_sleep, check_stop),
        away=lambda: emit(DatabaseAway(worker)),
        back=lambda: emit(DatabaseBack(worker)),
    )
    # Patient from the start: whoever replaces a dead worker may come while the database is away.
    with patience.waits_for(lambda: ResultsStore(order.storage_url, patience)) as store:
        bench = patience.waits_for(lambda: _workbench(order, store, emit, check_stop))
        precision = resolve_precision(bench.spec.fixed.get("precision", "auto"), bench.device)
        on_ready(Ready(bench.worker, str(bench.device), precision, threads))
        began = database_time(store)
        while True:
            check_stop()
            stop_if_failing(store, bench.study_id, bench.spec, began)
            fault_point("worker.claim")
            lease = _claim(bench)
            fault_point("worker.claimed")
            if lease is not None:
                _work_on(bench, lease)
            elif _end_paused(bench):
                continue
            elif not progress(store, bench.study_id).open:
                fault_point("worker.advance")
                if not advance(store, bench.spec.study):
                    _tidy_up(bench)
                    return
                fault_point("worker.advanced")
            elif not release_dead_local(store, bench.study_id):
                _sleep(check_stop, IDLE_SECONDS)


def _sleep(check_stop: Callable[[], None], seconds: float) -> None:
    """Sleep, but stop when this worker shall."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        beat()  # who waits for a database that is away does not hang
        check_stop()
        time.sleep(min(left, IDLE_SECONDS))


def _workbench(
    order: WorkOrder, store: ResultsStore, emit: Emit, check_stop: Callable[[], None]
) -> Workbench:
    study = find_registered(store.engine, order.study)
    if study is None:
        raise UnknownStudyError(f"study {order.study} is no longer in the database: was it deleted?")
    dataset = load_study_images(study.spec, study.dataset)
    if dataset.fingerprint != study.fingerprint:
        raise StudyChangedError(
            f"study {order.study} began with other images than those now at {dataset.origin}"
        )
    _check_models(study.spec, len(dataset.classes))
    return Workbench(
        spec=study.spec,
        study_id=study.study_id,
        study_uid=study.uid,
        store=store,
        suggestions=Suggestions(store, study.study_id, study.spec.space),
        dataset=dataset,
        device=resolve_device(order.device),
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


def _claim(bench: Workbench) -> Lease | None:
    """A paused trial that is now among the best before one that nobody has begun."""
    for stage, pruner in _pausing(bench):
        choose, say = partial(promotable, pruner), partial(promoted, pruner)
        lease = claim_promoted(
            bench.store, bench.study_id, stage, bench.worker, bench.lease_seconds, choose, say
        )
        if lease is not None:
            return lease
    return claim(bench.store, bench.study_id, bench.worker, bench.lease_seconds)


def _end_paused(bench: Workbench) -> bool:
    """Whether there was a paused trial to end, since none of its stage runs, is to come or may go on."""
    for stage, pruner in _pausing(bench):
        choose, say = partial(promotable, pruner), partial(stopped_at_the_end, pruner)
        ended = end_paused(bench.store, bench.study_id, stage, choose, say)
        if ended is not None:
            bench.emit(TrialEnded(bench.worker, ended.number, "pruned", None, ended.verdict, ended.seconds))
            return True
    return False


def _pausing(bench: Workbench) -> Iterator[tuple[str, Asha]]:
    """The stages in which trials are paused, each with its pruner."""
    rules = [bench.spec.pruner.rules, *(each.pruner.rules for each in bench.spec.stages if each.pruner)]
    if not any(can_pause(each) for each in rules):
        return  # asks the database nothing
    for name in paused_stages(bench.store, bench.study_id):
        pruner = bench.stage(name).spec.pruner.rules
        assert can_pause(pruner), f"only a pruner that can pause has paused trials of stage {name}"
        yield name, pruner


def _tidy_up(bench: Workbench) -> None:
    """Remove what workers left that were killed when their trials had just ended."""
    remove_all(settings().checkpoints.expanduser(), bench.study_uid)
    remove_superfluous(bench.store, bench.study_id, bench.study_uid, bench.spec.keep_best)


def _work_on(bench: Workbench, lease: Lease) -> None:
    try:
        run_trial(bench, lease)
    except LeaseLostError:
        return  # another worker has the slot now, and trains it
    except StopRequestedError:
        fault_point("worker.release")
        with suppress(LeaseLostError, StorageError):  # else the lease runs out by itself
            release(bench.store, lease)
        fault_point("worker.released")
        raise
