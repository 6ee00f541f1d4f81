"""The layout of an image folder: which folders are splits and which are classes, told by their names."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from hpo.config.division import DivisionRules
from hpo.data.walk import is_image, is_passed_over
from hpo.files import is_utf8, path_text
from hpo.text import counted

Kind: TypeAlias = Literal["train", "validation", "test"]
Splits: TypeAlias = Mapping[Kind, Sequence[str]]
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "eval", "evaluation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "holdout"), "test"),
}
"""Names of splits, in lower case."""
_WORD = r"(?<![^\W\d_])(?:{})(?![^\W\d_])"  # no letter before or after it
_SPLIT_WORD = re.compile(_WORD.format(f"({'|'.join(sorted(KINDS))})(?:set)?"))
_FILLERS = re.compile(_WORD.format("set|data|dataset|split|images|imgs") + r"|[\W\d_]+")
_ALSO_CLASSES = ("train", "valid", "dev")
"""Words that also name things: trains beside cars, valid beside invalid tickets."""
_CONTENTS = frozenset({"set", "data", "dataset", "images", "imgs", "image", "img", "photos", "pictures"})
"""Names of folders that say nothing of the images in them, as in cat/images and dog/images."""
_SHOWN = 5  # folders listed in one message
_DEEPEST = 4  # single folders within each other; links may go on forever
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that names of classes must not have: of control, and of direction."""


class LayoutError(Exception):
    """A folder that is not one of images in classes; ``advise``: the expected layout is worth showing."""

    def __init__(self, message: str, *, advise: bool = False) -> None:
        super().__init__(message)
        self.advise = advise


@dataclass(frozen=True)
class Layout:
    """Where the images are; ``warnings`` say which folders are not used."""

    train: Path
    test: Path | None = None
    warnings: tuple[str, ...] = ()
    validation: tuple[Path, ...] = ()
    """Folders of validation images; a data set has one at most."""


def find_layout(root: Path) -> Layout:
    """Find the folders of training and test images; without them, ``root`` itself has the classes.

    Raises ``LayoutError`` for two folders of one split, and for splits without training images.
    """
    names = _folders(root)
    splits = _splits(names)
    others = sorted({*names}.difference(*splits.values()))
    if not any(splits.values()) or _is_class(root, splits, others):
        return Layout(root)
    train, test = _only(root, splits, "train"), _only(root, splits, "test")
    if train is None:
        raise LayoutError(_without_train(root, splits, others))
    return Layout(train, test, _unused(train, others), tuple(root / name for name in splits["validation"]))


def class_folders(folder: Path) -> dict[str, Path]:
    """Return the folders of a split's classes, sorted by name in Unicode's composed form (NFC).

    Raises ``LayoutError`` for fewer than two, for splits in place of classes, and for a name that cannot be
    used.
    """
    names = _folders(folder)
    if not names:
        loose = sum(is_image(path.name) for path in folder.iterdir())
        only = f", only {counted(loose, 'loose image')}: put images in one folder per class" if loose else ""
        raise LayoutError(f"{folder} has no class folders{only}", advise=True)
    if len(names) == 1:
        raise _single(folder, names[0])
    _refuse_splits(folder, names)
    return _by_class(folder, names)


def shared_subfolders(folder: Path, classes: Mapping[str, Path]) -> Iterator[str]:
    """Yield a warning if the class folders have no images of their own, and most have the same subfolders.

    The subfolders may be the classes, and the class folders splits (or sites, or years) under other names.
    """
    if any(_has_images(each) for each in classes.values()):
        return
    counts = Counter(name for each in classes.values() for name in _folders(each))
    shared = [name for name, n in counts.items() if n > len(classes) / 2 and name.lower() not in _CONTENTS]
    if not shared:
        return
    in_split = bool(_splits([folder.name])["train"])
    places = [folder / shared[0]] if in_split else [folder / shared[0], folder / "train" / shared[0]]
    yield (
        f"the class folders of {path_text(folder)} ({_some(list(classes))}) hold only folders, with the "
        f"same names ({_some(sorted(shared))}). If those are the classes, put their images in "
        f"{' or '.join(map(path_text, places))} and so on"
    )


def _has_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_image(entry.name) and not is_passed_over(entry.name) for entry in entries)


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_passed_over(entry.name) and entry.is_dir())


def _splits(names: Iterable[str]) -> Splits:
    """Return the names of splits: Train, test_set; of other names only pairs: seg_train and seg_test."""
    groups: dict[str, dict[Kind, list[str]]] = {}
    for name in names:
        found = _SPLIT_WORD.search(name.lower())
        if found:
            rest = _FILLERS.sub("", _SPLIT_WORD.sub("", name.lower(), count=1))
            groups.setdefault(rest, {}).setdefault(KINDS[found[1]], []).append(name)
    splits: dict[Kind, list[str]] = {"train": [], "validation": [], "test": []}
    for rest, group in groups.items():
        if not rest or ("train" in group and len(group) > 1):
            for kind, members in group.items():
                splits[kind] += members
    return splits


def _listed(splits: Splits) -> str:
    return _some([name for members in splits.values() for name in members])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(map(path_text, names[:_SHOWN])) + more


def _is_class(root: Path, splits: Splits, others: Sequence[str]) -> bool:
    """Return whether the only folder with a split's name is one of several classes, such as train, car."""
    named = [name for members in splits.values() for name in members]
    return (
        len(named) == 1
        and named[0].lower() in _ALSO_CLASSES
        and len(others) > 0
        and not _folders(root / named[0])
    )


def _only(root: Path, splits: Splits, kind: Kind) -> Path | None:
    found = splits[kind]
    if len(found) > 1:
        raise LayoutError(
            f"{root} has {len(found)} folders of {kind} images ({_some(found)}): keep one, with one folder "
            "per class"
        )
    return root / found[0] if found else None


def _without_train(root: Path, splits: Splits, others: Sequence[str]) -> str:
    problem = f"{root} has {_listed(splits)}, but no folder train"
    if not others:
        return f"{problem}: rename the one with the training images"
    return (
        f"{problem}: move the class folders ({_some(others)}) into {root / 'train'}, and {_listed(splits)} "
        "too if it is a class"
    )


def _refuse_splits(folder: Path, names: Sequence[str]) -> None:
    """Raise ``LayoutError`` if the folders, or the folders in one of them, are training and test images."""
    if _has_splits(splits := _splits(names)):
        raise LayoutError(
            f"{folder} has the splits {_listed(splits)} in place of classes: use data_root: {folder}"
        )
    for name in names:
        if _has_splits(splits := _splits(_folders(folder / name))):
            raise LayoutError(
                f"{folder / name} has the splits {_listed(splits)}, which would be mixed: put the split "
                f"first, as in train/{name} and test/{name}"
            )


def _has_splits(splits: Splits) -> bool:
    return bool(splits["train"]) and bool(splits["test"] or splits["validation"])


def _single(folder: Path, name: str) -> LayoutError:
    place = folder / name
    inside = _folders(place)
    for _ in range(_DEEPEST):
        if len(inside) != 1 or _splits(inside)["train"] or _has_images(place):
            break
        place /= inside[0]
        inside = _folders(place)
    if len(inside) < 2 and not _splits(inside)["train"]:
        return LayoutError(
            f"{folder} has only one class ({name}); a classifier needs two or more", advise=True
        )
    which = "those are the classes or the splits" if len(inside) > 1 else "it has the classes"
    return LayoutError(
        f"{folder} has only one folder, {place.relative_to(folder)}, with {_some(inside)} in it: if {which}, "
        f"use data_root: {place}"
    )


def _by_class(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the folders by class name. Raises ``LayoutError`` for a name that cannot be used."""
    found: dict[str, Path] = {}
    for name in names:
        if not is_utf8(Path(name)):
            raise LayoutError(f"the class folder {os.fsencode(name)!r} in {folder} is not UTF-8: rename it")
        if CONTROL.search(name):
            raise LayoutError(f"the class folder {name!r} in {folder} has a control character: rename it")
        composed = unicodedata.normalize("NFC", name)
        if composed in found:
            raise LayoutError(
                f"{folder} has two folders of the class {composed}, in two Unicode forms "
                f"({found[composed].name!a}, {name!a}): merge them, or rename one"
            )
        found[composed] = folder / name
    return dict(sorted(found.items()))


def _unused(train: Path, others: Sequence[str]) -> tuple[str, ...]:
    return (f"not used, as they are beside {path_text(train)}: {_some(others)}",) if others else ()


def given_validation(layout: Layout, rules: DivisionRules) -> tuple[Path | None, tuple[str, ...]]:
    """Return the folder whose images validate, if there is one, and which are not used.

    Raises ``LayoutError`` for several, and if there is none though one is asked for.
    """
    found, train = layout.validation, layout.train
    if not rules.uses_given:
        instead = "" if layout.test else ", or rename it test to measure the best network on it"
        return None, tuple(
            f"{path_text(each)} is not used: hpo draws validation images from {train.name} "
            f"(val_fraction). Move its images into {train.name} to train on them{instead}"
            for each in found
        )
    if len(found) > 1:
        names = _some([each.name for each in found])
        raise LayoutError(
            f"{found[0].parent} has {len(found)} folders of validation images ({names}): keep one, or use "
            "validation: drawn"
        )
    if not found and rules.validation == "given":
        raise LayoutError(f"validation: given, but there is no folder of validation images beside {train}")
    return (found[0] if found else None), ()
