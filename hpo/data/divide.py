"""Divide listed image files: validation as it was given or by groups and times, and test if there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hpo.config.division import DivisionRules
from hpo.data.division import Division, KnownGroups
from hpo.data.hold_out import held_out_blocks, held_out_text
from hpo.data.image_keys import Labels, Named, blocks_of, suspected_groups

if TYPE_CHECKING:
    from hpo.data.folder import ImageFile

HoldOut: TypeAlias = Callable[[], "tuple[list[ImageFile], list[ImageFile]]"]
"""Holds a share of each class out: what is kept, and what is held out."""


@dataclass(frozen=True)
class DividedFiles:
    """The images to train on (those that were given for validation are the last) and to test on."""

    train: list[ImageFile]
    test: list[ImageFile]
    division: Division
    held_how: str
    """How test images were held out, in words; empty if there were some."""


def divide(
    train: Mapping[str, list[ImageFile]],
    given: list[ImageFile],
    test: list[ImageFile] | None,
    rules: DivisionRules,
    name: Callable[[list[ImageFile]], Named],
    hold_out: HoldOut,
) -> DividedFiles:
    """Divide images by class; ``test`` None holds test images out of ``train``. Raises ``DataError``."""
    all_train = [file for files in train.values() for file in files]
    blocks = blocks_of(rules, name(all_train))
    how = ""
    if test is not None:
        kept, held = all_train, test
    elif blocks is not None:
        labels = np.repeat(np.arange(len(train)), [len(files) for files in train.values()])
        rows, others = held_out_blocks(labels, tuple(train), blocks)
        kept, held = _at(all_train, rows), _at(all_train, others)
        how = held_out_text(len(others), len(all_train), blocks)
        blocks = blocks.of(rows)
    else:
        kept, held = hold_out()
        how = held_out_text(len(held), len(all_train), None)
    known = _known(rules, name([*kept, *given, *held]), len(kept) + len(given))
    division = Division(len(given), None if given else blocks, known)
    return DividedFiles([*kept, *given], held, division, how)


def _at(files: Sequence[ImageFile], rows: Labels) -> list[ImageFile]:
    return [files[row] for row in rows.tolist()]


def _known(rules: DivisionRules, images: Named, trained: int) -> KnownGroups | None:
    if rules.groups is None:
        suspected = suspected_groups(images)
        if suspected is None:
            return None
        rule, blocks = suspected
    else:
        rule, found = rules.groups, blocks_of(replace(rules, order=None), images)
        assert found is not None
        blocks = found
    return KnownGroups(rule, blocks.of(slice(trained)), blocks.of(slice(trained, None)))
