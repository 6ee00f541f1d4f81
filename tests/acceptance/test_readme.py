"""The README as a stranger reads it: every command in it, in order, from an empty folder."""

from __future__ import annotations

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
README = (ROOT / "README.md").read_text()
ELSEWHERE = {
    "make study STUDY=my.yaml": "the same",
    "make study": "installs from a registry; its target is looked up, its recipe is `hpo run`",
    "make test": "is what runs this test",
    "source .venv/bin/activate": "this test has that folder on its path",
    "docker compose up": "no engine is here: tests/acceptance/test_compose.py runs the services",
    "hpo run my-first.yaml --ray": "tests/acceptance/test_ray.py has a cluster",
}
"""Commands that are not run here, and why."""
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
"""What would wait for ever, ask, take long, or wants another machine; and what is run in its place."""
VARYING = (
    r"trial # (complete|pruned) .*\[# of # trials(, about # left)?\]",
    r"[a-z ]+: # trials?, lr # .*\(number .*\)",
    r"(note|warn) .*",
    r"try: .*",
    r"\w+ (pass|note|warn|fatal) # .*",
    r"synthetic pictures, version #, seed #;? ?.*",
    r"quickstart # trials, # workers? with # threads? each on .*",
    r"next: hpo predict \S+ IMAGE\.\.\. model card: \S+",
    r"rank trial val_accuracy .*|layer mean std .*|.* \(#% sure, else .*\)",
    r"(relu|elu|leaky_relu|tanh|sigmoid) # #",
    r"star\.png( \w+ #){3}",
    r"http://\S+/dashboard/\?token=\S+ \(read-only; press Ctrl-C to stop\)",
)
"""Lines whose words are results too."""


@dataclass(frozen=True)
class Step:
    """A command of the README and the output that is shown below it."""

    command: str
    shown: list[str]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _steps() -> list[Step]:
    steps: list[Step] = []
    for block in _blocks("console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append(Step(re.sub(r"\s+# .*", "", line.removeprefix("$ ")), []))
            elif line.strip() not in ("", "…"):
                steps[-1].shown.append(line)
    return steps


def _kind(line: str) -> str:
    """The line without its numbers, durations and widths."""
    line = re.sub(r"(?<![\w.])(\d+ (h|min) )*\d+(\.\d+)? (s|min|h)\b", "#", line)
    line = re.sub(r"(?<![A-Za-z_])[-+]?\d+(,\d{3})*(\.\d+)?(e[-+]?\d+)?(?![\w])", "#", line)
    return re.sub(r"\s+", " ", re.sub("─+", "─", line)).strip()


def _unlike(shown: list[str], said: str) -> list[str]:
    """Lines that the README shows and the command did not say, nor one like it."""
    kinds = {_kind(line) for line in said.splitlines()}
    return [line for line in shown if not _said(_kind(line), kinds)]


def _said(kind: str, kinds: set[str]) -> bool:
    alike = [pattern for pattern in VARYING if re.fullmatch(pattern, kind)]
    return kind in kinds or any(re.fullmatch(pattern, other) for pattern in alike for other in kinds)


def test_numbers_may_differ_and_words_may_not() -> None:
    assert _kind("   1      9   0.8590   6.74e-3  relu   1 min 01 s") == "# # # # relu #"
    assert _unlike(["trial 0  complete  val_accuracy 0.7180"], "trial 3  complete  val_accuracy 0.2") == []
    assert _unlike(["rank  trial  value"], "rank  trial  val_accuracy") == ["rank  trial  value"]


def _spans() -> set[str]:
    """Commands in the running text, as far as they are not placeholders."""
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    spans = (re.sub(r"\s+", " ", span) for span in re.findall(r"`([^`]+)`", prose))
    return {span for span in spans if re.match(r"(hpo|make|docker|source|pip) ", span)}


def test_every_command_in_the_text_is_one_of_hpo_with_these_options() -> None:
    for span in _spans() - set(ELSEWHERE):
        assert any(step.command.startswith(span) for step in _steps()), f"{span} stands in the text alone"
    for step in _steps():
        if step.command.startswith("hpo "):
            assert complaint(step.command) == "", step.command
        else:
            assert step.command in {**ELSEWHERE, **CHANGED}, step.command


def test_the_targets_of_make_and_the_links_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = set(re.findall(r"\bmake ([a-z-]+)", "\n".join([*_blocks("console"), *_spans()])))
    assert {"study", "test"} <= asked <= targets
    for link in re.findall(r"\]\(([^)#]+)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_study_file_has_no_mistake() -> None:
    (text,) = _blocks("yaml")
    spec = parse_study(text, "my-first.yaml")
    assert spec.study == "my-first" and spec.trials == yaml.safe_load(text)["trials"]


def test_the_babysitter_of_the_example_watches_a_loop() -> None:
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
    """The environment of somebody who has just installed hpo: an empty folder, no CIFAR-10, no network."""
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
def test_every_command_does_what_is_shown(tmp_path: Path, stranger: dict[str, str]) -> None:
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
            said = _visit(command, folder, stranger)
            assert _unlike(step.shown, said) == [], said
        else:
            done = subprocess.run(
                ["bash", "-c", command], cwd=folder, env=stranger, capture_output=True, text=True, check=False
            )
            said = done.stdout + done.stderr
            assert done.returncode == 0 and "Traceback" not in said, (command, said)
            assert _unlike(step.shown, said) == [], (command, said)


def _visit(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What the dashboard says when it starts; its address answers, and Ctrl-C ends it."""
    process = subprocess.Popen(
        shlex.split(command),
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        # Where this test runs in the background of a shell, that has switched Ctrl-C off.
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
