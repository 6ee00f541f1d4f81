"""What the test images said, in words."""

from __future__ import annotations

from hpo.reporting import words
from hpo.results.stages import StagesStatus


def test_lines(found: StagesStatus) -> list[str]:
    """What the test images said, and a warning if they were looked at more than once."""
    lines = [f"test accuracy {words.accuracy(look.test_value)} (trial {look.number})" for look in found.looks]
    if len(found.looks) > 1:
        lines.append(
            f"warning: this study has looked at the test images {len(found.looks)} times; only the first "
            "value is an honest one: choosing among more of them would choose the luckiest"
        )
    return lines
