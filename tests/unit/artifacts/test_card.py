"""The model card of a network whose classes have odd names."""

from __future__ import annotations

from markdown_it import MarkdownIt

from hpo.artifacts.card import CardFacts, card
from hpo.artifacts.metrics import Measured
from hpo.config.configuration import Configuration

LABELS = ("b\nr", "<b>bar</b>", "a | b", "*star* `x`", "[red]x")
FACTS = CardFacts(
    study="pics", trial=3, slot=3, stage="main", seed=0, trials_finished=4, is_best=True, searched=("lr",),
    parameters=100, best_epoch=2, measured_on="val", look=0, recorded_accuracy=0.5, dataset="folder",
    fingerprint="f" * 64, train_images=100, verdict="<i> | odd", device="cpu", processor="x | y", threads=1,
    precision="fp32", code_version="1", package_versions={"torch": "2"}, retrained=False,
    validation="drawn", no_program="torch.export failed | <b>",
)  # fmt: skip


def test_card_keeps_any_class_name_in_its_row() -> None:
    measured = Measured(50, 0.5, (0.4, 0.6), 1.0, dict.fromkeys(LABELS, 0.25))
    text = card(FACTS, Configuration(lr=0.1), LABELS, measured)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [token.children or [] for token in tokens if token.type == "inline"]
    assert "html_inline" not in {child.type for each in inline for child in each}
    cells = ["".join(child.content for child in each) for each in inline]
    start = cells.index("validation accuracy") + 1
    shown = [" ".join(label.split()) for label in LABELS]
    assert cells[start : start + 10] == [each for label in shown for each in (label, "0.250")]
    assert f"({', '.join(shown)})." in " ".join(cells)
