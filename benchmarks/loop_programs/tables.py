"""The tables of `benchmarks/loops.py`."""

from __future__ import annotations

from collections.abc import Sequence

from machine import table

from loop_programs.runs import Outcome


def summary(outcomes: Sequence[Outcome]) -> str:
    """Counts over sound and faulty programs."""
    sound = [each for each in outcomes if not each.mistake and each.enough]
    early = [each for each in outcomes if not each.mistake and not each.enough]
    faulty = [each for each in outcomes if each.mistake]
    treated = [each for each in faulty if each.treated]
    rows = [
        ("raised an error", outcomes, [each for each in outcomes if each.raised]),
        ("changed the training", outcomes, [each for each in outcomes if each.disturbed]),
        ("sound with a warning or cause", sound, [each for each in sound if each.blamed]),
        ("sound and told to stop", sound, [each for each in sound if each.stopped]),
        ("too early to tell, but blamed or stopped", early, [e for e in early if e.blamed or e.stopped]),
        ("healthy without enough evidence", outcomes, [each for each in outcomes if each.wrongly_healthy]),
        ("sound and called healthy", sound, [each for each in sound if each.healthy]),
        ("faults detected", faulty, [each for each in faulty if each.blamed]),
        ("first cause right", faulty, [each for each in faulty if first_right(each)]),
        ("among the first two", faulty, [each for each in faulty if two_right(each)]),
        ("remedies that repair", treated, [each for each in treated if each.treated == "repaired"]),
        ("remedies that make it worse", treated, [each for each in treated if each.treated == "worse"]),
    ]
    shares = [
        (what, str(len(hits)), str(len(of)), f"{len(hits) / len(of):.1%}" if of else "")
        for what, of, hits in rows
    ]
    plain, watched = (sum(getattr(e, name) for e in outcomes) for name in ("seconds", "watched_seconds"))
    cost = (
        "processor time, watched over unwatched",
        f"{watched:.0f} s",
        f"{plain:.0f} s",
        f"{watched / plain:.2f} x",
    )
    return table(["", "programs", "of", "share"], [*shares, cost])


def kinds(outcomes: Sequence[Outcome]) -> str:
    """The main counts of each kind of program."""
    rows = []
    for kind in sorted({each.kind for each in outcomes}):
        of = [each for each in outcomes if each.kind == kind]
        sound = [each for each in of if not each.mistake and each.enough]
        faulty = [each for each in of if each.mistake]
        rows.append(
            (
                kind,
                f"{sum(bool(each.raised) for each in of)}/{len(of)}",
                f"{sum(each.blamed for each in sound)}/{len(sound)}",
                f"{sum(each.blamed for each in faulty)}/{len(faulty)}",
                f"{sum(first_right(each) for each in faulty)}/{len(faulty)}",
            )
        )
    return table(["kind", "raised", "sound blamed", "detected", "named"], rows)


def misses(outcomes: Sequence[Outcome]) -> str:
    """Every program that is not judged as it should be, with its verdict."""
    return "\n".join(_miss(each, wrong) for each in outcomes if (wrong := _wrong(each)))


def first_right(outcome: Outcome) -> bool:
    """The verdict names the mistake."""
    return bool(outcome.mistake) and outcome.cause in outcome.expected


def two_right(outcome: Outcome) -> bool:
    """The verdict or its second cause names the mistake."""
    return first_right(outcome) or (bool(outcome.mistake) and outcome.second in outcome.expected)


def _wrong(outcome: Outcome) -> list[str]:
    wrong = [f"raised {each}" for each in outcome.raised]
    if outcome.disturbed:
        wrong.append("changed the training")
    if outcome.wrongly_healthy:
        wrong.append("healthy without enough evidence")
    if not outcome.mistake:
        wrong += ["blamed"] * outcome.blamed + ["told to stop"] * outcome.stopped
    elif not outcome.blamed:
        wrong.append("not detected")
    elif not first_right(outcome):
        wrong.append("second cause right" if two_right(outcome) else "wrong cause")
    if outcome.treated == "worse":
        wrong.append(f"remedy makes it worse: {outcome.change}")
    return wrong


def _miss(outcome: Outcome, wrong: Sequence[str]) -> str:
    expected = f"  expected: {' / '.join(outcome.expected)}\n" if outcome.mistake else ""
    warned = f"  warned by: {', '.join(outcome.warnings)}\n" if outcome.warnings else ""
    return (
        f"{outcome.name} (score {outcome.score:.2f}): {'; '.join(wrong)}\n{expected}"
        f"  verdict: {outcome.cause or 'none'} ({outcome.second or 'no second'}), {outcome.confidence}: "
        f"{outcome.text}\n{warned}"
    )
