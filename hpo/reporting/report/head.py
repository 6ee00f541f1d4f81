"""The head of a report: title, state, key numbers, and the result in a few sentences."""

from __future__ import annotations

from hpo.config.objective import Objective
from hpo.reporting import formatting
from hpo.reporting.report.appendix import total_cost
from hpo.reporting.report.blocks import Tile
from hpo.reporting.report.data import ReportData
from hpo.text import counted


def subtitle(data: ReportData) -> str:
    """Return what was searched, in a phrase."""
    searched = formatting.counted(len(data.spec.space), "hyperparameter")
    if data.spec.is_own:
        return f"A search over {searched} of the training {data.spec.trainer_text}"
    images = data.overview.train_images
    count = f" ({counted(images, 'training image')})" if images else ""
    return f"A search over {searched} of a small image classifier on {data.overview.dataset}{count}"


def state(data: ReportData) -> str:
    """Return whether the study is running, stopped or finished."""
    if data.overview.stopped_at is not None:
        return "stopped"
    if not data.trials:
        return "not started"
    return f"running: {data.done} of {counted(data.total, 'trial')} done" if data.is_running else "finished"


def tiles(data: ReportData) -> list[Tile]:
    """Return the key numbers: the best value, trials that learned, time, images."""
    learned, done = len(data.all_results.ranked), len(data.all_results.trials)
    seconds, images = total_cost(data)
    what = "trials have a value" if data.spec.is_own else "trials learned"
    return [
        *_value_tile(data),
        Tile(f"{learned:,} of {done:,}", what, "of the ended trials"),
        Tile(formatting.duration(seconds), "of training", f"on {_devices(data)}"),
        *([Tile(f"{images / 1e6:,.2f} M", "images trained on", "epochs x images")] if images else []),
    ]


def _value_tile(data: ReportData) -> list[Tile]:
    goal = data.spec.goal
    if data.winner is not None and data.winner.mean is not None:
        mean, what = goal.text(data.winner.mean), goal.label.removeprefix("validation ")
        return [Tile(mean, f"confirmed {what}", f"trial {data.winner.number}")]
    if data.best is not None:
        return [Tile(goal.text(data.best.value), f"best {goal.label}", f"trial {data.best.number}")]
    return []


def _devices(data: ReportData) -> str:
    return ", ".join(dict.fromkeys(trial.device for trial in data.trials)) or "no device yet"


def summary(data: ReportData) -> list[str]:
    """Return the result, what decides it, the most frequent failure, and what to do next."""
    sentences = [result(data)]
    sentences += [each.statements[0] for each in data.answers if each.statements]
    results = data.results
    failed = {each.number for each in results.trials if results.failed(each)}
    if failed and data.failures:
        stage = f" of stage {data.spec.stages[0].name}" if data.spec.stages else ""
        worst = max(data.failures, key=lambda each: len(failed.intersection(each.numbers)))
        with_it = formatting.counted(len(failed.intersection(worst.numbers)), "trial")
        sentences.append(
            f"{len(failed)} of {formatting.counted(len(results.trials), 'trial')}{stage} "
            f"failed or did not learn, most often with the verdict “{worst.label}” ({with_it})"
        )
    advice = next((each for each in data.findings if each.remedy), None)
    return [*sentences, f"{advice.message}; next: {advice.remedy}"] if advice else sentences


def result(data: ReportData) -> str:
    """Return the winner or best trial with its value and interval, as a sentence."""
    winner, best, goal = data.winner, data.best, data.spec.goal
    if winner is not None and winner.mean is not None:
        return (
            f"trial {winner.number} wins with a mean {goal.label} of {goal.text(winner.mean)} over "
            + formatting.counted(winner.completed or 0, "training")
            + _interval(winner.low, winner.high, goal)
        )
    if best is None or best.value is None:
        none_within = data.tradeoffs.none_within if data.tradeoffs else ""
        return none_within or "no trial has a result yet"
    low, high = data.interval or (None, None)
    value = f"{_article(goal.label)} {goal.label} of {goal.text(best.value)}"
    sentence = f"trial {best.number} is the best{data.spec.tradeoffs.within}, with {value}"
    return sentence + _interval(low, high, goal)


def _article(noun: str) -> str:
    return "an" if noun[0].lower() in "aeiou" else "a"


def _interval(low: float | None, high: float | None, goal: Objective) -> str:
    return "" if low is None or high is None else f" (95 % interval {goal.text(low)} to {goal.text(high)})"
