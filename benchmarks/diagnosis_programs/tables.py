"""The tables that go into docs/checks.md, with the bars beside the figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from machine import table

from diagnosis_programs.halves import HALVES, Half
from diagnosis_programs.judging import FaultJudged, HealthyJudged, Judgment, runs_of, share
from diagnosis_programs.repair import Treatment
from diagnosis_programs.value import Size, Value


def summary(faults: Sequence[FaultJudged], healthy: Sequence[HealthyJudged]) -> str:
    """One line for each bar, one column for each half."""
    rows = [[name, bar, *(cell(faults, healthy, half) for half in HALVES)] for name, bar, cell in _LINES]
    return table(["", "bar", *HALVES], rows)


def _counting(faults: Sequence[FaultJudged], half: Half) -> list[FaultJudged]:
    return [each for each in faults if each.half == half and each.counts]


def _sound(healthy: Sequence[HealthyJudged], half: Half) -> list[Judgment]:
    return runs_of([each for each in healthy if each.half == half and each.counts])


def _of_faults(count: Callable[[FaultJudged], int]) -> Callable[..., str]:
    def cell(faults: Sequence[FaultJudged], healthy: Sequence[HealthyJudged], half: Half) -> str:
        chosen = _counting(faults, half)
        return share(sum(count(each) for each in chosen), len(runs_of(chosen)))

    return cell


def _of_healthy(count: Callable[[Judgment], bool]) -> Callable[..., str]:
    def cell(faults: Sequence[FaultJudged], healthy: Sequence[HealthyJudged], half: Half) -> str:
        runs = _sound(healthy, half)
        return share(sum(count(each) for each in runs), len(runs))

    return cell


_LINES: tuple[tuple[str, str, Callable[..., str]], ...] = (
    ("faults detected", ">= 92 %", _of_faults(lambda each: each.detected())),
    ("root cause named first", ">= 75 %", _of_faults(lambda each: each.named(1))),
    ("root cause among the first two", ">= 88 %", _of_faults(lambda each: each.named(2))),
    ("sound runs with a warning or worse", "<= 5 %", _of_healthy(lambda run: bool(run.alarms))),
    ("sound runs stopped", "0", _of_healthy(lambda run: run.stopped_at is not None)),
)


def fault_rows(faults: Sequence[FaultJudged]) -> str:
    """What each fault was called, by which check it was first noticed, and when."""
    header = ["fault", "half", "true cause", "called", "noticed by", "at", "costs", "first", "first two"]
    return table(header, [_fault_row(each) for each in faults if each.counts])


def _fault_row(each: FaultJudged) -> list[str]:
    seeds = len(each.judgments)
    noticed = [at for run in each.judgments if (at := run.noticed_at) is not None]
    return [
        each.fault.name,
        each.half,
        " / ".join(each.fault.causes),
        _counted(_called(run) for run in each.judgments),
        _counted(run.alarms[0].check if run.alarms else "-" for run in each.judgments),
        f"{100 * sum(noticed) / len(noticed):.0f} %" if noticed else "-",
        f"{100 * each.damage:.0f}",
        f"{each.named(1)}/{seeds}",
        f"{each.named(2)}/{seeds}",
    ]


def _called(run: Judgment) -> str:
    second = f" ({run.verdict.second_cause})" if run.verdict.second_cause else ""
    return f"{run.verdict.cause}{second}"


def _counted(names: Iterable[str]) -> str:
    """'a 2, b 1', or 'a' alone if there is nothing else."""
    counts = Counter(names).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{name} {count}" for name, count in counts)


def alarm_rows(healthy: Sequence[HealthyJudged]) -> str:
    """Sound programs on which a check warned."""
    rows = [
        [each.name, each.half, finding.check, finding.severity, f"{finding.step}", finding.message]
        for each in healthy
        if each.counts
        for run in each.judgments
        for finding in run.alarms
    ]
    header = ["sound program", "half", "check", "severity", "step", "message"]
    return table(header, rows) if rows else "no sound program raised an alarm"


def left_out(faults: Sequence[FaultJudged], healthy: Sequence[HealthyJudged]) -> str:
    """What does not count, and why."""
    harmless = [f"{each.fault.name} ({100 * each.damage:+.1f})" for each in faults if not each.counts]
    poor = [
        f"{each.name} ({', '.join(f'{run.curve.final_accuracy:.2f}' for run in each.judgments)})"
        for each in healthy
        if not each.counts
    ]
    return (
        f"left out: faults that cost less than 3 points: {', '.join(harmless) or 'none'}; "
        f"sound programs that do not train well: {', '.join(poor) or 'none'}"
    )


def repair_table(treatments: Sequence[Treatment], halves: dict[str, Half], folder: Path) -> str:
    """How many faulty runs their remedy brings back, by half; then fault by fault."""
    done = [(each, back) for each in treatments if (back := each.repaired(folder)) is not None]
    rows = []
    for half in HALVES:
        chosen = [back for each, back in done if halves[each.name] == half]
        rows.append([half, ">= 70 %", share(sum(chosen), len(chosen))])
    names = sorted({each.name for each, _ in done}, key=list(halves).index)
    header = ["fault", "half", "remedy", "repaired"]
    each_fault = [
        _repair_row([pair for pair in done if pair[0].name == name], halves[name]) for name in names
    ]
    return f"{table(['half', 'bar', 'repaired by the remedy'], rows)}\n\n{table(header, each_fault)}"


def _repair_row(seeds: Sequence[tuple[Treatment, bool]], half: Half) -> list[str]:
    remedies = _counted(
        ", ".join(f"{name}: {value}" for name, value in each.change.items()) or "-" for each, _ in seeds
    )
    return [seeds[0][0].name, half, remedies, f"{sum(back for _, back in seeds)}/{len(seeds)}"]


def value_table(value: Value, size: Size) -> str:
    """What stopping early would have saved, and what it would have cost."""
    rows = [
        ["ended at chance or exploded", "", f"{value.hopeless} of {value.trials}"],
        ["of those, stopped", "", f"{value.stopped_hopeless} of {value.hopeless}"],
        ["after this share of their steps, on average", "", f"{100 * value.stopped_share:.0f} %"],
        ["compute saved on them", ">= 80 %", f"{100 * value.saved:.1f} %"],
        ["compute saved on all", "", f"{100 * value.saved_of_all:.1f} %"],
        ["others stopped", "", f"{value.stopped_others} of {value.trials - value.hopeless}"],
        ["better half stopped", "0", f"{value.stopped_better_half} of {value.trials // 2}"],
    ]
    return f"{size}\n" + table(["", "bar", "measured"], rows)
