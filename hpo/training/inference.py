"""Measures how long a network takes to classify one image."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch

from hpo.heartbeat import beat
from hpo.training.forward import logits_of
from hpo.training.precision import one_thread, own_time
from hpo.training.setup import TrialSetup

WARM_UP = 5
LEAST, MOST = 7, 50
"""How many times an image is classified: the median counts."""
SECONDS = 1.0
"""No more than ``LEAST`` times after this."""


@torch.inference_mode()
def milliseconds_per_image(setup: TrialSetup) -> float:
    """Return the milliseconds for one prepared validation image, a batch of 1, on the device of the trial.

    On a CPU it is the processor time of one thread, which other work on the machine disturbs least; on a GPU
    the time until the device has the answer. The network is as it is now: its weights do not matter.
    """
    model, device = setup.model, setup.device
    batch, _ = setup.data.val.batch(torch.zeros(1, dtype=torch.long, device=device))
    batch = batch.contiguous(memory_format=torch.channels_last)
    training = model.training
    model.eval()
    forked = [device] if device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices=forked), one_thread():
            seconds = _seconds(lambda: logits_of(model, batch.clone(), device, setup.precision), device)
    finally:
        model.train(training)
    return 1000 * statistics.median(seconds)


def _seconds(classify: Callable[[], object], device: torch.device) -> list[float]:
    for _ in range(WARM_UP):
        classify()
        beat()
    seconds: list[float] = []
    while len(seconds) < LEAST or (len(seconds) < MOST and sum(seconds) < SECONDS):
        started = own_time(device)
        classify()
        seconds.append(own_time(device) - started)
        beat()
    return seconds
