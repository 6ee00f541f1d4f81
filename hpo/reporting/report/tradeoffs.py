"""The section of a report about the second objective: the front of trade-offs, as a picture and a table."""

from __future__ import annotations

from hpo.config.objective import Objective
from hpo.config.tradeoff import amount_text
from hpo.queries.tradeoffs import Tradeoffs
from hpo.reporting.report.blocks import Block, Paragraph, Picture, Section, Table
from hpo.text import counted

_MEASURED = {
    "milliseconds": "Milliseconds are for one image by itself, on the device that trained the trial; "
    "on a CPU they are processor time of one thread.",
    "images_per_second": "Images/s are those of the training; a busy machine lowers them.",
}
"""What a reader must know of a quantity."""


def tradeoffs_section(found: Tradeoffs | None, goal: Objective) -> Section | None:
    """Return what a better value costs; None without a second objective or a trial."""
    if found is None or not (found.points or found.remark):
        return None
    blocks: list[Block] = []
    if found.remark:
        blocks.append(Paragraph(f"{found.remark[:1].upper()}{found.remark[1:]}."))
    if found.front:
        only = "best in both" if len(found.front) == 1 else "not beaten in both by any other"
        more = "most" if not found.of.lower_is_better else "least"
        blocks += [
            Paragraph(
                f"{counted(len(found.front), 'trial')} of {len(found.points)}, {only}, from the one with the "
                f"{more} {found.of.label} to the one with the best {goal.label}: of those within a limit, "
                "choose the last."
            ),
            Picture("tradeoffs", f"{goal.label[:1].upper()}{goal.label[1:]} against {found.of.label}."),
            _table(found, goal),
        ]
    if found.of.quantity in _MEASURED:
        blocks.append(Paragraph(_MEASURED[found.of.quantity], quiet=True))
    return Section("tradeoffs", "Trade-offs", tuple(blocks))


def _table(found: Tradeoffs, goal: Objective) -> Table:
    what = goal.label.removeprefix("validation ")
    rows = tuple((str(each.number), amount_text(each.amount), goal.text(each.value)) for each in found.front)
    return Table(("trial", found.of.label, what), rows, right=frozenset({"trial", found.of.label, what}))
