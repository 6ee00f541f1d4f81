"""hpo in a notebook, with a real kernel: cells that run a study, read its results, and are interrupted."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

STUDY = """
import hpo
spec = {
    "study": "notebook", "trials": 2,
    "fixed": {"dataset": "synthetic", "train_images": 500, "width": 4, "depth": 2, "epochs": %d},
    "space": {"lr": {"log": [1e-3, 1e-1]}},
}
def hear(event):
    print(event, flush=True)
study = hpo.run(spec, storage="sqlite:///notebook.db", workers=1, on_event=hear)
"""
LOOK = 'hpo.load("notebook", storage="sqlite:///notebook.db")'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # those of the kernel's own packages are not ours
]


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """A kernel whose folder is ``tmp_path``, and a client of it."""
    manager = KernelManager()
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv[0] = sys.executable
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _answer(client: BlockingKernelClient, request: str) -> tuple[str, str]:
    """What the cell of that request printed or showed, and the name of its error."""
    said, error = "", ""
    while True:
        message = client.get_iopub_msg(timeout=120)
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        if message["msg_type"] == "stream":
            said += content["text"]
        elif message["msg_type"] == "execute_result":
            said += content["data"]["text/plain"]
        elif message["msg_type"] == "error":
            error = content["ename"]
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            return said, error


def _run(client: BlockingKernelClient, cell: str) -> tuple[str, str]:
    return _answer(client, client.execute(cell))


def test_a_study_runs_in_a_cell_and_is_read_in_the_next(
    kernel: tuple[KernelManager, BlockingKernelClient],
) -> None:
    _, client = kernel
    said, error = _run(client, f"{STUDY % 1}\nstudy")
    assert error == "" and "<hpo.Study notebook: 2 of 2 trials are over>" in said
    assert _run(client, f'sorted({LOOK}.results()["number"].tolist())') == ("[0, 1]", "")


def test_interrupted_cell_releases_its_trial_and_resumes_it(
    kernel: tuple[KernelManager, BlockingKernelClient],
) -> None:
    manager, client = kernel
    request = client.execute(STUDY % 40)
    while "EpochDone" not in client.get_iopub_msg(timeout=120)["content"].get("text", ""):
        pass
    manager.interrupt_kernel()
    _, error = _answer(client, request)
    assert error == "KeyboardInterrupt"
    # Nobody holds the trial, and nothing of it is lost.
    said, error = _run(client, f"{LOOK}.status().summary.running, bool(len({LOOK}.curves()))")
    assert (said, error) == ("(0, True)", "")
    said, error = _run(client, STUDY % 40 + "study")
    assert error == "" and "<hpo.Study notebook: 2 of 2 trials are over>" in said
    assert _run(client, f"{LOOK}.curves().groupby('number').size().tolist()") == ("[40, 40]", "")
