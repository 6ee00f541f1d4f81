"""What commands print before training starts: advice on the study, and the number of workers."""

from __future__ import annotations

from hpo.cli.console import print_warning, stderr
from hpo.config.study import StudySpec


def print_advice(spec: StudySpec) -> None:
    """Print warnings and notes about the study's sampler and pruner."""
    from hpo.search.advice import notes, warnings

    for warning in warnings(spec):
        print_warning(warning)
    for note in notes(spec):
        stderr().print(f"note: {note}", style="dim", soft_wrap=True)


def default_workers(
    device: str, trials: int | None, option: str = "--workers", *, built_in: bool = True
) -> int:
    """Return the default number of workers; print it with the reason."""
    from hpo.training import cores

    found = cores.default_workers(device, trials, built_in=built_in)
    stderr().print(f"workers: {found.workers} ({found.reason}; {option} N for another number)", style="dim")
    return found.workers


def warn_if_oversubscribed(workers: int) -> None:
    """Print a warning if there are more workers than cores, or more than fit into memory."""
    from hpo.training.cores import memory_shortage, oversubscription

    warning = oversubscription(workers)
    if warning:
        print_warning(warning)
    shortage = memory_shortage(workers)
    if shortage:
        print_warning("; ".join(shortage))
