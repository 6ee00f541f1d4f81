"""Images of which nearly every pixel is at the end of the range."""

from __future__ import annotations

import torch

from hpo.checks.measure.example_facts import image_facts
from hpo.checks.rules.few_shades import few_shades
from tests.helpers.observed import LIMITS, images, one, preflight, seen


def test_few_shades_the_share_of_pixels_at_an_end() -> None:
    assert few_shades(seen(), LIMITS) == []
    found = one(
        few_shades(seen(preflight=preflight(images=images(clipped_share=0.97))), LIMITS),
        "note",
        "input_scale",
    )
    assert "97.0% of all pixels" in found.message and found.remedy.change == {"code": "scale_input"}
    black = preflight(images=images(clipped_share=1.0, std=0.0))
    assert few_shades(seen(preflight=black), LIMITS) == []  # input_scale says so


def test_few_shades_bytes_that_were_scaled_and_cut_are_seen() -> None:
    torch.manual_seed(0)
    pixels = torch.randint(256, (20, 3, 8, 8), dtype=torch.uint8)
    facts = image_facts((pixels.float() / 255).to(torch.uint8).float())
    assert facts.clipped_share == float((pixels < 255).float().mean())
    one(few_shades(seen(preflight=preflight(images=facts)), LIMITS), "note", "input_scale")
    assert image_facts(pixels.float() / 255).clipped_share < 0.02
