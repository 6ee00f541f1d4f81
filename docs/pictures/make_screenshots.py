"""Screenshots for the README and the docs: `make screenshots`.

Runs the quickstart study (a few minutes) in a terminal, then opens its pages in Chromium:

    python docs/pictures/make_screenshots.py [--storage URL]  # URL: a finished quickstart
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyte
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
STUDY = "quickstart"
RUN = ["run", STUDY, "--set", "dataset=synthetic"]
"""With synthetic images, so that the screenshots are the same everywhere."""
COLUMNS, LINES = 116, 30
WANTED = re.compile(r"\b8 of 12 trials")
"""The moment of the screenshot: some trials have ended, others are running."""
HPO = [sys.executable, "-m", "hpo"]
FAILED = """SELECT number FROM results WHERE study = 'quickstart' AND state = 'pruned'
            ORDER BY CASE cause WHEN 'vanishing_gradients' THEN 0 ELSE 1 END, number LIMIT 1"""


def run_in_terminal(storage: str) -> list[Text]:
    """Run the study in a terminal; return the screen at the wanted moment, or else at the end."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    command = [*HPO, *RUN, "--storage", storage]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        shown: list[Text] = []
        while data := _read(ours):
            stream.feed(decode(data))
            if WANTED.search("\n".join(screen.display)):
                shown = _lines(screen)
        os.close(ours)
    return shown or _lines(screen)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the command has ended
        return b""


def _lines(screen: pyte.Screen) -> list[Text]:
    """Return the screen's lines in color, without empty lines at the end."""
    lines = []
    for row in range(screen.lines):
        line = Text()
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            line.append(cell.data, _style(cell))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return [Text(f"$ hpo {' '.join(RUN)}"), *lines, Text()]


def _style(cell: Any) -> str:
    color = "" if cell.fg == "default" else cell.fg.replace("brown", "yellow")
    if re.fullmatch(r"[0-9a-f]{6}", color):
        color = f"#{color}"
    return f"bold {color}".strip() if cell.bold else color


def draw_terminal(browser: Any, lines: list[Text], to: Path) -> None:
    """Draw the terminal as a picture."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(
            record=True, width=COLUMNS, file=nowhere, color_system="truecolor", force_terminal=True
        )
        for line in lines:
            console.print(line, no_wrap=True, overflow="crop")
        svg = console.export_svg(title=f"hpo run {STUDY}")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # fonts from a server
    page = browser.new_page(viewport={"width": 1300, "height": 900}, device_scale_factor=1)
    page.set_content(f"<body style='margin:0;width:1280px'>{svg}</body>")
    page.locator("svg").first.screenshot(path=to)
    page.close()


@contextmanager
def dashboard(storage: str) -> Iterator[str]:
    """Run `hpo dashboard`; yield the link that it prints."""
    command = [*HPO, "dashboard", "--storage", storage, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[0]
        process.kill()


def failed_trial(storage: str) -> str:
    """Return the number of a trial that failed in an instructive way."""
    command = [*HPO, "query", "--storage", storage, "--format", "csv", FAILED]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]


def draw_dashboard(browser: Any, link: str, number: str) -> None:
    """Take the study's page, its note, and a failed trial's page."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    origin = f"http://{urlsplit(link).netloc}"
    page.goto(link)
    study = "/dashboard/studies/1"
    pages = {
        "dashboard.png": (study, "[id='user-defined-plot:hpo-layers'] .trace", 2060),
        "dashboard-note.png": (f"{study}/note", "h3", 900),
        "dashboard-trial.png": (f"{study}/trials?numbers={number}", "img[alt='layers.png']", 1520),
    }
    for name, (path, drawn, height) in pages.items():
        page.set_viewport_size({"width": 1400, "height": height})
        page.goto(origin + path)
        page.locator(drawn).first.wait_for(state="attached")
        page.wait_for_load_state("networkidle")
        page.wait_for_function("() => [...document.images].every(each => each.complete)")
        page.wait_for_timeout(1500)  # plots move to their positions
        page.screenshot(path=HERE / name)
    page.close()


def draw_report(browser: Any, storage: str, folder: Path) -> None:
    """Take the first screen of the report."""
    path = folder / "report.html"
    subprocess.run([*HPO, "report", STUDY, "--storage", storage, "-o", str(path)], check=True)
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_load_state("networkidle")
    page.screenshot(path=HERE / "report.png")
    page.close()


def main() -> None:
    """Take all screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--storage", help="a database with a finished quickstart study")
    given = parser.parse_args().storage
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("Chromium is not installed: `apt-get install chromium`")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        storage = given or f"sqlite:///{folder}/hpo.db"
        if not given:
            draw_terminal(browser, run_in_terminal(storage), HERE / "terminal.png")
        with dashboard(storage) as link:
            draw_dashboard(browser, link, failed_trial(storage))
        draw_report(browser, storage, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
