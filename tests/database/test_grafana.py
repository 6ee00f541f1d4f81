"""The Grafana dashboard, the alerts and the documents ask for metrics that hpo gives."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hpo.events import LeaseLost, StudyTaken, TrialEnded, WorkerReady
from hpo.reporting.prometheus import database_metrics
from hpo.storage.store import ResultsStore
from hpo.workers.metrics import WorkerMetrics
from tests.helpers.events import epoch_done
from tests.helpers.one_of_everything import make_ours

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "grafana"
OF_PROMETHEUS = {"instance", "job"}
"""Labels that it adds to what it scrapes."""
Exposed = dict[str, dict[str, set[str]]]


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Exposed:
    """The values of each label of each metric, as a database with trials and a worker give them."""
    url = f"sqlite:///{tmp_path_factory.mktemp('metrics')}/hpo.db"
    with ResultsStore(url) as store:
        make_ours(store)
    worker = WorkerMetrics()
    for event in (
        WorkerReady("w", "cpu", 1, ()), StudyTaken("w", "s"), epoch_done("w", 0, 1, 2, 1.0, 1.0, 0.5, 9.0),
        TrialEnded("w", 0, "complete", 0.5, "healthy", 2.0), LeaseLost("w", 1),
    ):  # fmt: skip
        worker.count(event)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(worker)
    found: Exposed = {}
    for text in (database_metrics(url), generate_latest(registry)):
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                labels = found.setdefault(sample.name, defaultdict(set))
                for label, value in sample.labels.items():
                    labels[label].add(value)
    return found


def _dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
    return document


def _expressions() -> Iterator[str]:
    for panel in _dashboard()["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    told = (ROOT / "docs" / "operations.md").read_text().partition("Useful alerts:")[2].partition("\n\n")[0]
    yield from (span.replace("\n", " ") for span in re.findall(r"`([^`]*hpo_[^`]*)`", told))


def _walk(node: Any, labels: set[str]) -> Iterator[tuple[Any, set[str]]]:
    """Every selector in an expression, with the labels by which it is grouped."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node, labels
    elif isinstance(node, promql_parser.MatrixSelector):
        yield node.vector_selector, labels
    elif isinstance(node, promql_parser.AggregateExpr):
        yield from _walk(node.expr, {*labels, *(node.modifier.labels if node.modifier else ())})
    elif isinstance(node, promql_parser.Call):
        for argument in node.args:
            yield from _walk(argument, labels)
    elif isinstance(node, promql_parser.BinaryExpr):
        yield from _walk(node.lhs, labels)
        yield from _walk(node.rhs, labels)
    else:
        assert isinstance(node, promql_parser.NumberLiteral), type(node)


def test_every_expression_asks_for_what_is_there(exposed: Exposed) -> None:
    expressions = list(_expressions())
    assert len(expressions) >= 20
    asked = set()
    for expression in expressions:
        for selector, labels in _walk(promql_parser.parse(expression), set()):
            assert selector.name in exposed, expression
            asked.add(selector.name)
            known = exposed[selector.name]
            assert labels <= known.keys() | OF_PROMETHEUS, expression
            for matcher in selector.matchers.matchers:
                values = set(matcher.value.split("|"))
                assert values == {"$study"} or values <= known[matcher.name], expression
    assert len(asked) >= 10


def test_the_documents_list_every_metric_with_its_labels(exposed: Exposed) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    text = text.partition("### Monitor with Prometheus")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (`hpo_[^|]*) \|([^|]*)\|", text, re.MULTILINE)
    told = {
        name: set(labels.replace(" ", "").split(",")) - {""}
        for names, labels in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    assert told == {name: set(labels) for name, labels in exposed.items()}


def test_every_panel_has_a_place_and_a_source() -> None:
    dashboard = _dashboard()
    panels, variables = dashboard["panels"], {each["name"] for each in dashboard["templating"]["list"]}
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
    used = set(re.findall(r"\$\{?(\w+)\}?", (FOLDER / "dashboard.json").read_text())) - {"__all"}
    assert used == variables == {"datasource", "study"}


def test_prometheus_asks_the_dashboard_with_its_token_and_reads_the_alerts() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    dashboard, workers = config["scrape_configs"]
    assert dashboard["authorization"] == {"credentials_file": "/etc/hpo/dashboard-token"}
    assert "authorization" not in workers
    ports = {job["job_name"]: {at.partition(":")[2] for at in job["static_configs"][0]["targets"]}
             for job in (dashboard, workers)}  # fmt: skip
    assert ports == {"hpo": {"8080"}, "hpo-workers": {"9100"}}
    assert all((FOLDER / name).is_file() for name in config["rule_files"])
