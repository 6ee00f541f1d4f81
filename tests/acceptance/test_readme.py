"""The README and the tour as a stranger reads them: all commands in order, from an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
import yaml
from PIL import Image

from hpo.config.parsing.load import parse_study
from hpo.data import synthetic
from hpo.rng import Key
from tests.helpers.hpo_arguments import complaint

ROOT = Path(__file__).parents[2]
PAGES = {path: (ROOT / path).read_text() for path in ("README.md", "docs/tour.md")}
TEXT = "\n".join(PAGES.values())
ELSEWHERE = {
    "make study STUDY=my.yaml": "the same as the next",
    "make study": "installs from a registry; a test looks up its target, whose recipe is `hpo run`",
    "make test": "runs this test",
    "make up": "tests/unit/deploy/test_up.py runs it, tests/acceptance/test_compose.py the services",
    "source .venv/bin/activate": "this test has that folder on its path",
    "hpo run my-first.yaml --ray": "tests/acceptance/test_ray.py has a cluster",
}
"""Commands that this test does not run, and why."""
CHANGED = {
    "hpo dashboard": "hpo dashboard --port 0",
    "hpo worker --slots 2": "hpo worker --slots 2 --until-idle",
    "hpo delete my-first": "hpo delete my-first --yes",
    "hpo submit my-first.yaml --priority 5":
        "hpo submit my-first.yaml --priority 5 --trials 1 --set train_images=500",
    "hpo run quickstart --trials 24": "hpo run quickstart --trials 13",
    "export HPO_STORAGE=postgresql://ada@db/hpo": "export HPO_STORAGE=sqlite:///team.db",
    "hpo init my.yaml --images ~/photos --length 30 --search regularization":
        "hpo init my.yaml --images ~/photos --length 1x1 --search regularization",
}  # fmt: skip
"""Commands that would wait, ask, take long or need another machine, and what runs in their place."""
VARYING = (
    r"trial # (complete|pruned) .*\[# of # trials(, about # left)?\]",
    r"[a-z ]+: # trials?, lr # .*\(number .*\)",
    r"(note|warn) .*",
    r"try: .*",
    r"\w+ (pass|note|warn|fatal) # .*",
    r"synthetic images, version #, seed #;? ?.*",
    r"quickstart # trials, # workers? with # threads? each on .*",
    r"val_accuracy # on # images from the exported files, torch\.export program #; recorded #.*",
    r"next: hpo predict \S+ IMAGE\.\.\. model card: \S+",
    r"rank trial val_accuracy .*|layer mean std .*|.* \(#% confidence; next most likely: .*\)",
    r"(relu|elu|leaky_relu|tanh|sigmoid) # #",
    r"star\.png( \w+ #){3}",
    r"http://\S+/dashboard/\?token=\S+ \(read-only; press Ctrl-C to stop\)",
)
"""Lines whose words depend on the results."""


@dataclass(frozen=True)
class Step:
    """A command of the pages and the output that they show below it."""

    command: str
    shown: list[str]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def _steps() -> list[Step]:
    """Return the commands in order; one that both pages show is one step, with the lines of both."""
    steps: dict[str, Step] = {}
    for block in _blocks("console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                command = re.sub(r"\s+# .*", "", line.removeprefix("$ "))
                step = steps.setdefault(command, Step(command, []))
            elif line.strip() not in ("", "…"):
                step.shown.append(line)
    return list(steps.values())


def _kind(line: str) -> str:
    """Return the line without numbers, durations and widths."""
    line = re.sub(r"(?<![\w.])(\d+ (h|min) )*\d+(\.\d+)? (s|min|h)\b", "#", line)
    line = re.sub(r"(?<![A-Za-z_])[-+]?\d+(,\d{3})*(\.\d+)?(e[-+]?\d+)?(?![\w])", "#", line)
    return re.sub(r"\s+", " ", re.sub("─+", "─", line)).strip()


def _missing(shown: list[str], printed: str) -> list[str]:
    """Return the lines of a page that the command did not print, nor one of the same kind."""
    kinds = {_kind(line) for line in printed.splitlines()}
    return [line for line in shown if not _is_among(_kind(line), kinds)]


def _is_among(kind: str, kinds: set[str]) -> bool:
    alike = [pattern for pattern in VARYING if re.fullmatch(pattern, kind)]
    return kind in kinds or any(re.fullmatch(pattern, other) for pattern in alike for other in kinds)


def test_lines_are_compared_without_their_numbers() -> None:
    assert _kind("   1      9   0.8590   6.74e-3  relu   1 min 01 s") == "# # # # relu #"
    assert _missing(["trial 0  complete  val_accuracy 0.7180"], "trial 3  complete  val_accuracy 0.2") == []
    assert _missing(["rank  trial  value"], "rank  trial  val_accuracy") == ["rank  trial  value"]


def _spans() -> set[str]:
    """Return the commands in the running text that are not placeholders."""
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    spans = (re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose))
    return {span for span in spans if re.match(r"(hpo|make|docker|source|pip) ", span)}


@pytest.mark.parametrize("span", sorted(_spans() - set(ELSEWHERE)))
def test_command_in_the_text_is_also_shown(span: str) -> None:
    assert any(step.command.startswith(span) for step in _steps())


@pytest.mark.parametrize("command", [step.command for step in _steps()])
def test_shown_command_has_its_options(command: str) -> None:
    if command.startswith("hpo "):
        assert complaint(command) == ""
    else:
        assert command in {**ELSEWHERE, **CHANGED}


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = set(re.findall(r"\bmake ([a-z-]+)", "\n".join([*_blocks("console"), *_spans()])))
    assert {"study", "test", "up"} <= shown <= targets


def _links() -> list[str]:
    found = [
        (ROOT / page).parent / link
        for page, text in PAGES.items()
        for link in re.findall(r"\]\(([^)#]+)", text)
        if not link.startswith("https://")
    ]
    return sorted({os.path.relpath(path, ROOT) for path in found})


@pytest.mark.parametrize("path", _links())
def test_link_leads_to_a_file(path: str) -> None:
    assert (ROOT / path).exists()


def test_study_file_has_no_mistake() -> None:
    (text,) = _blocks("yaml")
    spec = parse_study(text, "my-first.yaml")
    assert spec.study == "my-first" and spec.trials == yaml.safe_load(text)["trials"]


def test_babysitter_example_watches_a_loop() -> None:
    import torch
    from torch import nn

    import hpo

    (text,) = _blocks("python")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 32), nn.ReLU(), nn.Linear(32, 10))
    images, labels = torch.randn(64, 3, 8, 8), torch.arange(64) % 10
    given: dict[str, Any] = {
        "hpo": hpo, "model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=1e9),
        "images": images, "labels": labels, "criterion": nn.CrossEntropyLoss(),
        "loader": [(images, labels)] * 60,
    }  # fmt: skip
    exec(text, given)
    assert given["sitter"].verdict().cause == "lr_too_high"


@pytest.fixture
def stranger(tmp_path: Path) -> dict[str, str]:
    """The environment after an installation: an empty folder, no CIFAR-10, no network."""
    home = tmp_path / "home"
    for name in ("cat", "dog"):
        (home / "photos" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (8, 8), (12 * number, 0, 0)).save(home / "photos" / name / f"{number}.png")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return {
        "HOME": str(home),
        "PATH": path,
        "NO_COLOR": "1",
        "HPO_DOWNLOAD_SECONDS": "0.1",
        "LANG": "C.UTF-8",
    }


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_commands_print_what_is_shown(tmp_path: Path, stranger: dict[str, str]) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "my-first.yaml").write_text(_blocks("yaml")[0])
    star = synthetic.draw_class("star", 1, Key(1))[0].transpose(1, 2, 0)
    Image.fromarray(star).save(folder / "star.png")
    steps = _steps()
    assert len(steps) >= 20
    for step in steps:
        if step.command in ELSEWHERE:
            continue
        command = CHANGED.get(step.command, step.command)
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            stranger[name] = value
        elif command.startswith("hpo dashboard"):
            printed = _visit(command, folder, stranger)
            assert _missing(step.shown, printed) == [], printed
        else:
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=stranger, capture_output=True, text=True, check=False
            )
            printed = done.stdout + done.stderr
            assert done.returncode == 0 and "Traceback" not in printed, (command, printed)
            assert _missing(step.shown, printed) == [], (command, printed)


def _visit(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Return the line that the dashboard prints at its start; its address must answer, and Ctrl-C end it."""
    process = subprocess.Popen(
        shlex.split(command),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that runs this test in the background has switched Ctrl-C off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        with build_opener(HTTPCookieProcessor()).open(line.split()[0], timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in (0, 130)
    finally:
        process.kill()
        process.communicate()
    return line
