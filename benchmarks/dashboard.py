"""The speed of the dashboard with many trials: the study's page in a browser, and its requests.

    python benchmarks/dashboard.py [--trials 100 1000 5000] [--storage URL]

For each size: a new study in a new database, a new server, and a new browser profile. `first page` is the
time from opening the link that the server prints, via the list of studies, until the study's curves are
drawn. `page` is the time to open the study again in a new tab of the same browser, which is logged in and has
cached the script; the median of five. `request` and `refetch` are the requests that the page waits for: all
trials, and those since the first unfinished one (sent every ten seconds); MB is the size of the former before
compression. There is no column for comparison: Optuna's own server has neither notes nor pictures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bulk_study
import machine
from playwright.sync_api import BrowserContext, BrowserType, sync_playwright

from hpo.storage.store import ResultsStore

TOKEN = "benchmark-token-0"
ROW = "{:>7}  {:>9}  {:>10}  {:>11}  {:>9}  {:>10}  {:>9}"
LIMITS = {"first page": 8.0, "page": 2.0}
REPEATS = 5


@contextmanager
def server(url: str) -> Iterator[str]:
    """Run `hpo dashboard` on the database; yield its address."""
    command = [sys.executable, "-m", "hpo", "dashboard", "--storage", url, "--port", "0"]
    given = {**os.environ, "HPO_DASHBOARD_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        yield f"http://{urlsplit(process.stdout.readline().split()[0]).netloc}"
        process.kill()


def seconds(work: Callable[[], Any]) -> float:
    """Return how long the call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(chromium: BrowserType, program: str, origin: str, trials: int) -> list[float]:
    """Return first page, page, request, refetch (s), and the megabytes of the request."""
    with tempfile.TemporaryDirectory() as profile:
        context = chromium.launch_persistent_context(profile, executable_path=program, args=["--no-sandbox"])
        first = seconds(lambda: log_in_and_open(context, origin))
        again = statistics.median(seconds(lambda: open_study(context, origin)) for _ in range(REPEATS))

        def ask(after: int) -> bytes:
            return bytes(context.request.get(f"{origin}/api/studies/1?after={after}").body())

        request = statistics.median(seconds(lambda: ask(0)) for _ in range(REPEATS))
        refetch = statistics.median(seconds(lambda: ask(trials)) for _ in range(REPEATS))
        size = len(ask(0)) / 1e6
        context.close()
    return [first, again, request, refetch, size]


def log_in_and_open(context: BrowserContext, origin: str) -> None:
    """Log in by the link, then open the study."""
    page = context.new_page()
    page.goto(f"{origin}/dashboard/?token={TOKEN}")
    page.locator("a, [role=button]").first.wait_for()
    page.close()
    open_study(context, origin)


def open_study(context: BrowserContext, origin: str) -> None:
    """Open the study in a new tab; return when optuna-dashboard's chart and that of hpo are drawn."""
    page = context.new_page()
    page.goto(f"{origin}/dashboard/studies/1")
    page.locator("#graph-intermediate-values .main-svg").first.wait_for()
    page.locator("[id='user-defined-plot:hpo-curves'] .main-svg").first.wait_for()
    page.close()


def main() -> None:
    """Print the table of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 5000])
    arguments = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("Chromium is not installed: `apt-get install chromium`")
    print(machine.machine())
    print(ROW.format("trials", "epochs", "first page", "page (n=5)", "request", "refetch", "MB"))
    with sync_playwright() as playwright:
        for trials in arguments.trials:
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'bulk.db'}"
                with ResultsStore(url) as store:
                    bulk_study.make_study(store, "bulk", trials)
                with server(url) as origin:
                    first, page, request, refetch, size = measure(
                        playwright.chromium, program, origin, trials
                    )
            cells = [f"{each:.2f} s" for each in (first, page, request, refetch)]
            print(ROW.format(f"{trials:,}", 20, *cells, f"{size:.1f}"), flush=True)
    print(f"wanted with 5,000 trials: first page within {LIMITS['first page']:.0f} s, page within "
          f"{LIMITS['page']:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
