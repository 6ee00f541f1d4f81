"""The part of a report that gives ground to the rest: the lecture's checks, costs, how to repeat it."""

from __future__ import annotations

import shlex
from statistics import median

from hpo.reporting import formatting
from hpo.reporting.report.blocks import Block, Code, Facts, Note, Paragraph, Section, Table
from hpo.reporting.report.data import ReportData
from hpo.reporting.report.glossary import LESSONS, Lesson

_PACKAGES = ("hpo", "torch", "torchvision", "optuna", "numpy", "python")


def check_section(material: ReportData) -> Section | None:
    """What the lecture's checks found, each with why one looks."""
    if not material.checks:
        return None
    lessons = [each for each in LESSONS if any(check in material.checks for check in each.checks)]
    said = Paragraph(
        "Each training is watched as Stanford's CS231n, lecture 6, advises. What a check sees is a note, a "
        "warning, or the end of a hopeless training.",
        quiet=True,
    )
    return Section("checks", "The lecture's checks", (said, *(_lesson(material, each) for each in lessons)))


def _lesson(material: ReportData, lesson: Lesson) -> Note:
    """Why one looks, and what was seen."""
    severities = ("pass", "note", "warn", "fatal")
    counts = {
        each: sum(material.checks.get(check, {}).get(each, 0) for check in lesson.checks)
        for each in severities
    }
    names = {"pass": "passed", "note": "a note", "warn": "a warning", "fatal": "ended the training"}
    said = ", ".join(f"{counts[each]} × {names[each]}" for each in severities if counts[each])
    family = "hot" if counts["fatal"] else "generalization" if counts["warn"] else "healthy"
    return Note(lesson.title, lesson.why, family, remedy=said, action="seen")


def cost_section(material: ReportData) -> Section | None:
    """Time, trainings, epochs times images, speed."""
    if not material.trials:
        return None
    seconds, images = spent(material)
    rates = [each.images_per_second for each in material.trials if each.images_per_second]
    ends = [each.ended_at for each in material.trials if each.ended_at is not None]
    begun = min(each.started_at for each in material.trials)
    pairs = [
        ("begun", f"{begun:%Y-%m-%d %H:%M} UTC"),
        ("training time", f"{formatting.duration(seconds)}, over all workers"),
        ("trainings", formatting.count(len(material.trials), "trial")),
        ("epochs x images", f"{images:,}"),
    ]
    if ends:
        last = max(ends)
        pairs.insert(
            1,
            (
                "last result",
                f"{last:%Y-%m-%d %H:%M} UTC, {formatting.duration((last - begun).total_seconds())} later",
            ),
        )
    if rates:
        pairs.append(("speed", f"{median(rates):,.0f} images/s (median of the trials)"))
    pairs.append(("workers", str(len({each.worker for each in material.trials}))))
    return Section("costs", "What it cost", (Facts(tuple(pairs)),))


def spent(material: ReportData) -> tuple[float, int]:
    """Seconds of training and images trained on (epochs times images), of all trials."""
    trials = material.overview.trials
    return sum(each.seconds or 0.0 for each in trials), sum(each.images or 0 for each in trials)


def repeat_section(material: ReportData) -> Section:
    """The commands that do it again, and on what it was done."""
    overview, best = material.overview, material.best
    name = shlex.quote(overview.name)
    commands = [
        f"hpo run {name}.yaml" if name == overview.name else f"hpo run {shlex.quote(overview.name + '.yaml')}"
    ]
    if best is not None:
        commands += [f"hpo repeat {name} {best.number}   # train it again: does it come out the same?"]
        commands += [f"hpo export {name}   # its network, as a folder that needs no database"]
    packages = {"hpo": overview.code_version, **overview.package_versions}
    shown = [each for each in _PACKAGES if each in packages] + sorted(set(packages) - set(_PACKAGES))
    blocks: list[Block] = [
        Paragraph(
            "The same study file draws the same configurations, with one worker or fifty; on a CPU the same "
            "packages give the same weights, bit for bit. The study file stands under “What was asked”."
        ),
        Code("\n".join(commands)),
        Facts((("images", overview.dataset_origin), ("their fingerprint", overview.dataset_fingerprint))),
        Table(
            ("package", "version"),
            tuple((each, str(packages[each])) for each in shown),
            summary="Exact versions",
        ),
    ]
    if best is not None and best.attempts:
        last = best.attempts[-1]
        surroundings = (
            last.device,
            last.processor,
            last.threads and formatting.count(last.threads, "thread"),
            last.precision,
        )
        machine = ", ".join(str(each) for each in surroundings if each)
        blocks.append(Facts(((f"trial {best.number} ran on", machine),)))
    return Section("repeat", "How to repeat it", tuple(blocks))
