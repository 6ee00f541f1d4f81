from __future__ import annotations

import io

import pytest
from rich.console import Console

from hpo.cli.views.live import LiveView
from hpo.cli.views.progress import RunProgress
from hpo.events import Event, FindingMade, StudyReady, TrialEnded, TrialStarted, WorkerLost
from tests.helpers.events import epoch_done

EVENTS: list[Event] = [
    StudyReady("demo", "synthetic", "ten drawn classes", 0, 4, 2, 1, "cpu", "fp32"),
    TrialStarted("a", 0, 0, {"lr": 0.1, "activation": "[red]relu"}, 4),
    TrialStarted("b", 1, 1, {"lr": 0.2, "activation": "tanh"}, 4),
    epoch_done("a", 0, 1, 4, 1.5, 1.6, 0.4, 1000),
    TrialEnded("b", 1, "pruned", None, "exploded: loss 9.1 at step 30 is over 3 x the first loss 2.31", 2.0),
    TrialStarted("b", 2, 2, {"lr": 0.3, "activation": "tanh"}, 4),
    epoch_done("a", 0, 2, 4, 1.2, 1.3, 0.8, 1000),
]


def drawn(width: int, events: list[Event], height: int = 40) -> tuple[LiveView, list[str]]:
    """The view after the events, as the lines of a terminal of this size."""
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None, markup=False
    )
    with LiveView(console, RunProgress(clock=lambda: 50.0)) as view:
        for event in events:
            view.show(event)
    with console.capture() as capture:
        console.print(view.render())
    return view, capture.get().splitlines()


def test_shows_that_it_is_loading_until_the_study_is_ready() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None, markup=False)
    with LiveView(console, RunProgress()):
        assert stream.getvalue() == "loading libraries and data ...\r"
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_shows_the_study_the_running_trials_and_the_ended_ones() -> None:
    _, lines = drawn(100, EVENTS)
    assert "1 of 4 trials" in lines[0]
    assert "1,000 images/s" in lines[0]
    lines = [line.rstrip() for line in lines]
    assert lines[1] == "2 running   0 complete   1 pruned   0 failed"
    assert lines[3:6] == [
        "trial  epoch  validation accuracy     train loss  images/s  searched",
        "    0    2/4  ▄▇ 0.8000                    1.200     1,000  lr 0.1, activation [red]relu",
        "    2    0/4  checks before training           –         –  lr 0.3, activation tanh",
    ]
    assert lines[7] == "1  pruned    exploded: loss 9.1 at step 30 is over 3 x the first loss 2.31"


def test_shows_the_latest_findings_of_running_trials_below() -> None:
    found = [FindingMade("a", 0, "warn", f"check{i}", f"message [red]{i}\x1b[2J") for i in range(4)]
    _, lines = drawn(60, [*EVENTS, *found])
    assert [line.rstrip() for line in lines[9:]] == [
        "0  warn  check3  message [red]3\\x1b[2J",
        "0  warn  check2  message [red]2\\x1b[2J",
        "0  warn  check1  message [red]1\\x1b[2J",
    ]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_never_wider_than_the_terminal(width: int) -> None:
    """Two columns stay free for the ^C that the terminal itself writes at the end of the last line."""
    _, lines = drawn(width, EVENTS)
    assert max(map(len, lines)) <= width - 2


def test_the_best_complete_trial_is_named() -> None:
    _, lines = drawn(100, [*EVENTS, TrialEnded("a", 0, "complete", 0.82, "healthy", 8.0)])
    assert lines[1].rstrip().endswith("best 0.8200 (trial 0)")


def test_live_view_prints_lasting_lines_above_and_clears_the_screen() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None, markup=False)
    with LiveView(console, RunProgress()) as view:
        for event in [*EVENTS, WorkerLost("b", "b died\x1b[2J (killed by signal 9)")]:
            view.show(event)
    shown = stream.getvalue()
    assert "demo  4 trials, 2 workers with 1 thread each on cpu, fp32" in shown
    assert "b died\\x1b[2J (killed by signal 9)" in shown
    assert shown.rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in shown  # the cursor is back
