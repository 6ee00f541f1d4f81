"""What a network predicts for each class, as a table of ``hpo show``."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from hpo.cli.console import print_title, printable
from hpo.cli.views.tables import table_that_fits
from hpo.records import ClassResult
from hpo.text import counted

_MOST = 15
"""Of more classes, those with the lowest recall are shown."""
_LONGEST = 24


def print_classes(console: Console, classes: Sequence[ClassResult], split: str) -> None:
    """Print each class's images of the ``split``, how many are found, and what they are taken for."""
    print_title(console, f"classes in epoch {classes[0].epoch}, {split} split")
    names = {each.label: each.class_name for each in classes}
    shown = list(classes)
    if len(shown) > _MOST:
        known = [each for each in classes if each.images]
        shown = sorted(known, key=lambda each: (each.recall, each.label))[:_MOST]
    columns = {
        "class": [_name(each.class_name) for each in shown],
        "images": [Text(f"{each.images:,}") for each in shown],
        "recall": [_share(each.recall) for each in shown],
        "precision": [_share(each.precision) for each in shown],
        "most often taken for": [_taken_for(each, names) for each in shown],
    }
    table = table_that_fits(columns, console.width, left=("class", "most often taken for"))
    if len(shown) < len(classes):
        table.caption = (
            f"the {len(shown)} with the lowest recall of {counted(len(classes), 'class', 'classes')}; all of "
            "them: `hpo show --json`, or the view classes"
        )
        table.caption_justify, table.caption_style = "left", "dim"
    console.print(table)


def _share(value: float) -> Text:
    return Text("–") if math.isnan(value) else Text(f"{value:.3f}")


def _taken_for(each: ClassResult, names: dict[int, str]) -> Text:
    others = {int(label): count for label, count in each.predictions.items() if int(label) != each.label}
    if not others:
        return Text("")
    label = max(others, key=lambda other: (others[other], -other))
    return _name(names.get(label, str(label))).append(f" {others[label] / each.images:.0%}", "dim")


def _name(name: str) -> Text:
    text = printable(name)
    return Text(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
