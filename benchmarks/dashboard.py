"""How fast the dashboard is with many trials: the study's page in a browser, and the requests behind it.

    python benchmarks/dashboard.py [--trials 100 1000 5000] [--storage URL]

For each size: a new study in a new database and a new server. `first page` is from opening the study to its
curves being drawn, the first time that anybody asks this server; `page` the median of five reloads; `request`
and `refetch` what the page waits for: all trials, and those since the first that is not over (as it asks
every ten seconds). There is no alternative column: Optuna's own server has neither notes nor pictures.
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
from playwright.sync_api import sync_playwright

from hpo.results.store import ResultsStore

TOKEN = "benchmark-token-0"
ROW = "{:>7}  {:>9}  {:>10}  {:>11}  {:>9}  {:>10}  {:>9}"
LIMITS = {"first page": 8.0, "page": 2.0}
REPEATS = 5


@contextmanager
def server(url: str) -> Iterator[str]:
    """`hpo dashboard` on the database; where it answers."""
    command = [sys.executable, "-m", "hpo", "dashboard", "--storage", url, "--port", "0"]
    given = {**os.environ, "HPO_DASHBOARD_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as process:
        assert process.stdout is not None
        yield f"http://{urlsplit(process.stdout.readline().split()[0]).netloc}"
        process.kill()


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(browser: Any, origin: str, trials: int) -> list[float]:
    """First page, page, request, refetch (s), and megabytes of the request."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{origin}/dashboard/?token={TOKEN}")
    page.locator("a, [role=button]").first.wait_for()

    def look() -> None:
        page.goto(f"{origin}/dashboard/studies/1")
        page.locator("#graph-intermediate-values .main-svg").first.wait_for()
        page.locator("[id='user-defined-plot:hpo-curves'] .main-svg").first.wait_for()

    def ask(after: int) -> bytes:
        return bytes(page.request.get(f"{origin}/api/studies/1?after={after}").body())

    first = seconds(look)
    again = statistics.median(seconds(look) for _ in range(REPEATS))
    request = statistics.median(seconds(lambda: ask(0)) for _ in range(REPEATS))
    refetch = statistics.median(seconds(lambda: ask(trials)) for _ in range(REPEATS))
    size = len(ask(0)) / 1e6
    context.close()
    return [first, again, request, refetch, size]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 5000])
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no Chromium here: `apt-get install chromium`")
    print(machine.machine())
    print(ROW.format("trials", "epochs", "first page", "page (n=5)", "request", "refetch", "MB"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for trials in arguments.trials:
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'bulk.db'}"
                with ResultsStore(url) as store:
                    bulk_study.make_study(store, "bulk", trials)
                with server(url) as origin:
                    first, page, request, refetch, size = measure(browser, origin, trials)
            cells = [f"{each:.2f} s" for each in (first, page, request, refetch)]
            print(ROW.format(f"{trials:,}", 20, *cells, f"{size:.1f}"), flush=True)
        browser.close()
    print(f"wanted with 5,000 trials: first page within {LIMITS['first page']:.0f} s, page within "
          f"{LIMITS['page']:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
