"""Whether a node can serve: asked of each before anything begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.errors import UserError
from hpo.results.provenance import sources
from hpo.workers.on_ray.shares import Node


@dataclass(frozen=True)
class Report:
    """What a node says of itself."""

    host: str
    problem: str = ""
    """Why it says nothing."""
    hpo: str | None = None
    """Version and hash of the sources; None if hpo is not there."""
    missing: tuple[str, ...] = ()
    """Modules of the user's that are not there."""
    database: str = ""
    """Why the database cannot be reached."""


def examination() -> Callable[[str, list[str]], dict[str, Any]]:
    """What a node runs. Made here, so that all of it travels: a node without hpo has nothing to import."""

    def examine(storage_url: str, modules: list[str]) -> dict[str, Any]:
        import importlib.metadata
        import importlib.util

        said: dict[str, Any] = {
            "missing": tuple(name for name in modules if importlib.util.find_spec(name) is None)
        }
        try:
            said["hpo"] = importlib.metadata.version("hpo")
            from hpo.results.provenance import sources
            from hpo.results.reach import reach
        except ImportError:  # it is not there, or older than this function
            return said
        said["hpo"] = sources()
        try:
            reach(storage_url)
        except Exception as error:  # whatever it is: it is said where it is read
            said["database"] = str(error)
        return said

    return examine


def fit_nodes(nodes: Sequence[Node], reports: Sequence[Report]) -> list[Node]:
    """Those that said something: Ray lists a node that was killed for some seconds more.

    Raises ``UserError`` that lists every node with what it lacks and what to do, or if none said anything.
    """
    here = sources()
    answered = [report for report in reports if not report.problem]
    said = [f"  {each.host}: {what}" for each in answered or reports for what in _lacks(each, here)]
    if said:
        raise UserError("these nodes of the Ray cluster cannot serve the study:\n" + "\n".join(said))
    return [node for node, report in zip(nodes, reports, strict=True) if not report.problem]


def _lacks(report: Report, here: str) -> list[str]:
    if report.problem:
        return [f"it did not say how it is: {report.problem}"]
    if report.hpo is None:
        return [f"hpo is not installed there: install {here.partition('+')[0]} in the Python that runs Ray"]
    found = []
    if report.hpo != here:
        found.append(f"it has hpo {report.hpo}, this is {here}: install the same on both")
    if report.missing:
        found.append(f"there is no module {', '.join(report.missing)}: install it there too")
    if report.database:
        found.append(f"the database cannot be used from there: {report.database}")
    return found
