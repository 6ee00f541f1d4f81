"""The last sections of a report: the lecture's checks, the cost, how to reproduce the results."""

from __future__ import annotations

import shlex
from statistics import median

from hpo.config.study import StudySpec
from hpo.queries.study import StudyOverview
from hpo.reporting import formatting
from hpo.reporting.report.blocks import Block, Code, Facts, Note, Paragraph, Section, Table
from hpo.reporting.report.data import ReportData
from hpo.reporting.report.glossary import LESSONS, Lesson

_PACKAGES = ("hpo", "torch", "torchvision", "optuna", "numpy", "python")


def checks_section(data: ReportData) -> Section | None:
    """Return the results of the lecture's checks, each with its reason."""
    lessons = [each for each in LESSONS if any(check in data.checks for check in each.checks)]
    if not lessons:
        return None
    intro = Paragraph(
        "Each training is checked as lecture 6 of Stanford's CS231n recommends. A check that finds something "
        "leaves a note or a warning, or stops a hopeless training.",
        quiet=True,
    )
    return Section("checks", "The lecture's checks", (intro, *(_lesson(data, each) for each in lessons)))


def _lesson(data: ReportData, lesson: Lesson) -> Note:
    """Return the reason for a check, with how often it found what."""
    counts = {
        severity: sum(data.checks.get(check, {}).get(severity, 0) for check in lesson.checks)
        for severity in ("pass", "note", "warn", "fatal")
    }
    results = {
        "pass": f"{counts['pass']:,} passed",
        "note": formatting.counted(counts["note"], "note"),
        "warn": formatting.counted(counts["warn"], "warning"),
        "fatal": f"{counts['fatal']:,} stopped the training",
    }
    shown = ", ".join(text for severity, text in results.items() if counts[severity])
    family = "hot" if counts["fatal"] else "generalization" if counts["warn"] else "healthy"
    return Note(lesson.title, lesson.why, family, remedy=shown, action="results")


def cost_section(data: ReportData) -> Section | None:
    """Return time, trials, epochs times images, speed and workers."""
    if not data.trials:
        return None
    seconds, images = total_cost(data)
    rates = [each.images_per_second for each in data.trials if each.images_per_second]
    ends = [each.ended_at for each in data.trials if each.ended_at is not None]
    started = min(each.started_at for each in data.trials)
    pairs = [
        ("started", f"{started:%Y-%m-%d %H:%M} UTC"),
        ("training time", f"{formatting.duration(seconds)}, summed over all workers"),
        ("trials", f"{len(data.trials):,}"),
        *([("epochs x images", f"{images:,}")] if images else []),
    ]
    if ends:
        last = max(ends)
        pairs.insert(
            1,
            (
                "last result",
                f"{last:%Y-%m-%d %H:%M} UTC, {formatting.duration((last - started).total_seconds())} later",
            ),
        )
    if rates:
        pairs.append(("speed", f"{median(rates):,.0f} images/s (median over the trials)"))
    pairs.append(("workers", str(len({each.worker for each in data.trials}))))
    return Section("costs", "Cost", (Facts(tuple(pairs)),))


def total_cost(data: ReportData) -> tuple[float, int]:
    """Return the seconds of training and the images trained on (epochs times images) of all trials."""
    trials = data.overview.trials
    return sum(each.seconds or 0.0 for each in trials), sum(each.images or 0 for each in trials)


def _images(overview: StudyOverview) -> list[Block]:
    if not overview.dataset:
        return []
    form = overview.format
    size = f"; {form.text}, made to fit by {form.resize}" if form else ""
    images = overview.dataset_origin + size
    return [Facts((("images", images), ("image fingerprint", overview.dataset_fingerprint)))]


def _same_results(spec: StudySpec) -> str:
    """Return what is the same when a study is run again."""
    drawn = "The same study file draws the same configurations, with one worker or fifty"
    if not spec.is_own:
        return f"{drawn}; on a CPU the same packages give the same weights, bit for bit."
    drawn = "" if spec.interface == "optuna" else f"{drawn}. "
    return f"{drawn}Whether the same configuration gives the same result is up to the training."


def reproduce_section(data: ReportData) -> Section:
    """Return the commands that reproduce the results, with package versions and hardware."""
    overview, best = data.overview, data.best
    name = shlex.quote(overview.name)
    commands = [
        f"hpo run {name}.yaml" if name == overview.name else f"hpo run {shlex.quote(overview.name + '.yaml')}"
    ]
    if best is not None and not data.spec.is_own:
        commands += [f"hpo repeat {name} {best.number}   # train it again and compare the results"]
        commands += [f"hpo export {name}   # its network, in a folder that needs no database"]
    packages = {"hpo": overview.code_version}
    if data.spec.command is None:  # else it has packages of its own
        packages |= overview.package_versions
    shown = [each for each in _PACKAGES if each in packages] + sorted(set(packages) - set(_PACKAGES))
    blocks: list[Block] = [
        Paragraph(f"{_same_results(data.spec)} The study file is in the section “Setup”."),
        Code("\n".join(commands)),
        *_images(overview),
        Table(
            ("package", "version"),
            tuple((each, str(packages[each])) for each in shown),
            summary="Exact versions",
        ),
    ]
    if best is not None and best.attempts:
        last = best.attempts[-1]
        runtime = (
            last.device,
            last.processor,
            last.threads and formatting.counted(last.threads, "thread"),
            last.precision,
        )
        machine = ", ".join(str(each) for each in runtime if each)
        blocks.append(Facts(((f"trial {best.number} ran on", machine),)))
    return Section("repeat", "How to reproduce it", tuple(blocks))
