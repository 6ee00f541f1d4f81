"""The text of a report, compared with the study; odd texts in it have no effect."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import optuna
import pytest
from sqlalchemy import Engine
from sqlalchemy.pool import NullPool

from hpo.checks.causes import CAUSES
from hpo.cli.app import run_command
from hpo.cli.commands.report import file_name
from hpo.config.parsing.load import parse_study
from hpo.diagnosis.wilson import wilson_interval
from hpo.queue.slots import register_study
from hpo.reporting.figures.style import LIGHT, RUNNING, STOPPED_EARLY
from hpo.reporting.report.build import make_report
from hpo.reporting.report.data import read_report_data
from hpo.reporting.report.glossary import CAUSES_EXPLAINED, LESSONS
from hpo.reporting.report.render import sentence
from hpo.storage.store import ResultsStore
from tests.helpers.datasets import blank_dataset
from tests.helpers.shared_files import created_once

Capture = pytest.CaptureFixture[str]
HOSTILE = '<script>alert("x")</script> ../../🦊 {{ 7*7 }} `$(id)`'


class _Page(HTMLParser):
    """Every element with its attributes, and the text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str) -> int:
        return sum(each == tag for each, _ in self.elements)


@pytest.fixture(scope="module")
def page(watched_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    def write(path: Path) -> None:
        path.write_text(make_report(f"sqlite:///{watched_path}", "watched").text, encoding="utf-8")

    return created_once(tmp_path_factory, "watched.html", write).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parsed(page: str) -> _Page:
    return _Page(page)


def test_report_names_the_best_trial_with_its_interval(parsed: _Page, watched: Engine) -> None:
    data = read_report_data(watched, "watched")
    assert data.best is not None and data.best.value is not None
    low, high = wilson_interval(data.best.value, 500)
    sentence = f"Trial {data.best.number} is the best, with a validation accuracy of {data.best.value:.4f}"
    assert f"{sentence} (95 % interval {low:.4f} to {high:.4f})" in parsed.text
    assert "running: 23 of 24 trials done" in parsed.text


def test_report_explains_failures_with_example_and_remedy(parsed: _Page) -> None:
    lrs = [10 ** (4 * ((7 * number) % 24) / 24 - 3) for number in range(24)]
    exploded = [number for number, lr in enumerate(lrs) if lr >= 1 and number not in (5, 23)]
    text = parsed.text
    assert (
        f"Learning rate too high · {len(exploded)} trials" in text and CAUSES_EXPLAINED["lr_too_high"] in text
    )
    assert f"trial {exploded[0]} the loss is 9.1 at step 30, over 3 x the first (2.31)" in text
    assert "try lower lr to 0.3" in text


def test_report_draws_the_layers_of_failures_with_histograms(page: str, watched: Engine) -> None:
    examples = read_report_data(watched, "watched").examples
    assert examples.keys() == {"lr_too_high"}, "the trial with an error has no histograms"
    number = examples["lr_too_high"].number
    assert page.count(f'aria-label="The layers of trial {number} during its training."') == 1
    assert page.count("during its training") == 2


def test_report_counts_results_of_the_lectures_checks(parsed: _Page) -> None:
    assert "The first loss is ln C" in parsed.text and "results 24 passed" in parsed.text
    assert "Overfit twenty images" not in parsed.text, "that check did not run"


def test_html_is_self_contained_and_has_no_script(page: str, parsed: _Page) -> None:
    assert parsed.count("script") == parsed.count("link") - 1 == parsed.count("iframe") == 0
    for tag, attributes in parsed.elements:
        for name in ("href", "src", "xlink:href", "data"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:")), f"<{tag} {name}={value}>"
        assert not any(name.startswith("on") for name in attributes)
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?://|@import|url\((?!#)", without_names)


def test_html_style_defines_each_color_of_pictures_twice(page: str) -> None:
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    defined = re.findall(r"--([\w-]+):", style[1])
    assert len(LIGHT.variables) > 10
    for name in LIGHT.variables:
        assert defined.count(name) == 2, f"--{name} is light and dark, and nothing else"


def test_sentence_keeps_the_name_of_a_hyperparameter() -> None:
    assert sentence("lr above 1: exploded") == "lr above 1: exploded"
    assert sentence("trial 3 wins") == "Trial 3 wins"


def test_html_links_have_targets_and_ids_are_unique(parsed: _Page) -> None:
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [
        attributes.get(name) or "" for _, attributes in parsed.elements for name in ("href", "xlink:href")
    ]
    targets = {link[1:] for link in links if link.startswith("#")}
    assert len(targets) > 24
    assert targets <= set(ids)


def test_html_escapes_odd_texts_of_trials(page: str, parsed: _Page) -> None:
    assert "<script>alert(1)</script>" in parsed.text and "{{ 7 * 7 }}" in parsed.text
    assert "<script" not in page and "\x1b" not in page


def test_html_of_24_trials_is_below_700_kb(page: str) -> None:
    assert len(page.encode()) < 700_000


def test_command_writes_markdown_with_pictures(watched_path: Path, tmp_path: Path, capsys: Capture) -> None:
    place = tmp_path / "my report.md"
    command = ["report", "watched", "-o", str(place), "--storage", f"sqlite:///{watched_path}"]
    assert run_command(command) == 0
    assert f"{place}  (" in capsys.readouterr().out
    text = place.read_text(encoding="utf-8")
    assert "## Results" in text and "\n| rank | trial | accuracy | lr |" in text
    assert "<script" not in text.replace("\\<", "")
    shown = set(re.findall(r"!\[[^\]]*\]\(my%20report-pictures/([^)]+)\)", text))
    pictures = {path.name: path for path in (tmp_path / "my report-pictures").iterdir()}
    assert shown == set(pictures) and len(shown) > 6
    for path in pictures.values():
        ET.fromstring(path.read_text(encoding="utf-8"))
    assert run_command(command) == 2
    assert (
        "already exists: choose another file with -o, or overwrite it with --force" in capsys.readouterr().err
    )
    assert run_command([*command, "--force", "--no-pictures"]) == 0
    assert "![" not in place.read_text(encoding="utf-8")


def test_glossary_explains_every_cause_and_documented_check() -> None:
    assert set(CAUSES_EXPLAINED) == {*CAUSES, RUNNING, STOPPED_EARLY}
    text = (Path(__file__).parents[4] / "docs" / "checks.md").read_text(encoding="utf-8")
    for lesson in LESSONS:
        assert all(f"`{check}`" in text for check in lesson.checks)


@pytest.fixture
def hostile_url(tmp_path: Path) -> str:
    """A study that Optuna made, with a hostile name; smaller values are better."""
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})
    study = optuna.create_study(study_name=HOSTILE, storage=storage, direction="minimize")

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("<b>rate", 1e-4, 1.0, log=True)
        kind = trial.suggest_categorical("kind|", ["a", HOSTILE, "$x$"])
        trial.report(rate, 1)
        if trial.number == 3:
            raise optuna.TrialPruned
        return abs(math.log10(rate) + 2) + (kind == "a")

    study.sampler = optuna.samplers.RandomSampler(seed=0)
    study.optimize(objective, n_trials=8)
    storage.engine.dispose()
    return url


def test_report_of_an_optuna_study_escapes_its_names(hostile_url: str) -> None:
    page = make_report(hostile_url, HOSTILE).text
    parsed = _Page(page)
    best = optuna.load_study(study_name=HOSTILE, storage=hostile_url).best_trial
    assert f"Trial {best.number} has the smallest value: {best.value:.6g}" in parsed.text
    assert "1 trial was pruned" in parsed.text and "log 0.0001 to 1" in parsed.text
    assert parsed.count("script") == parsed.count("b") - len(re.findall("<b>", page)) == 0
    assert parsed.text.count('<script>alert("x")</script>') > 1
    assert parsed.count("svg") == 4
    markdown = make_report(hostile_url, HOSTILE, "md", "pictures")
    assert not re.search(r"(?<!\\)<", markdown.text.replace("\\\\", ""))


def test_report_before_the_first_trial_reports_not_started(storage_with: Callable[[str], str]) -> None:
    url = storage_with("study: fresh\ntrials: 2\nspace: {lr: {log: [1e-3, 1]}}\n")
    text = _Page(make_report(url, "fresh").text).text
    assert "No trial has a result yet" in text and "not started" in text


@pytest.fixture
def storage_with(tmp_path: Path) -> Callable[[str], str]:
    def make(text: str) -> str:
        url = f"sqlite:///{tmp_path / 'fresh.db'}"
        with ResultsStore(url) as store:
            register_study(store, parse_study(text, "fresh.yaml"), blank_dataset())
        return url

    return make


@pytest.mark.parametrize(
    ("study", "place", "message"),
    [
        ("watched", "{folder}", "is a folder: choose a file in it with -o"),
        ("watched", "{folder}/no/r.html", "the folder {folder}/no does not exist"),
        ("watched", "/proc/r.md", "cannot write /proc/r.md: "),
        ("wachted", "{folder}/r.html", "did you mean watched?"),
    ],
)
def test_command_refuses_bad_arguments_and_writes_nothing(
    study: str, place: str, message: str, watched_path: Path, tmp_path: Path, capsys: Capture
) -> None:
    place, message = (each.format(folder=tmp_path) for each in (place, message))
    command = ["report", study, "-o", place, "--no-pictures", "--storage", f"sqlite:///{watched_path}"]
    assert run_command(command) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_file_name_stays_in_its_folder() -> None:
    assert file_name("cifar10-random") == "cifar10-random"
    assert file_name(HOSTILE) == "script-alert-x-script-..-..-7-7-id"
    assert file_name("../..") == file_name("🦊") == "study"
