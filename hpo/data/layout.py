"""The layout of an image folder: which folders are splits and which are classes, told by their names."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from hpo.config.division import DivisionRules
from hpo.data.class_names import CONTROL, composed
from hpo.data.walk import is_folder, is_image, is_passed_over, walk_images
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
_BEGINNING = re.compile(r"[^\W\d_]+(?=[\W\d_])")
_MOST_BEGINNINGS = 100
"""Of the names of files, as in cat.0.jpg: with more of them, they are hardly classes."""


class LayoutError(Exception):
    """A folder that is not one of images in classes; ``advise``: the expected layout is worth showing."""

    def __init__(self, message: str, *, advise: bool = False) -> None:
        super().__init__(message)
        self.advise = advise


@dataclass(frozen=True)
class Layout:
    """Where the images are; ``warnings`` say which folders are not used."""

    root: Path
    """The folder of the splits, or of the classes: what was given, or a folder within it."""
    train: Path
    test: Path | None = None
    warnings: tuple[str, ...] = ()
    validation: tuple[Path, ...] = ()
    """Folders of validation images; a data set has one at most."""


def find_layout(root: Path) -> Layout:
    """Find the folders of training and test images; without them, ``root`` itself has the classes.

    They may be deeper, where there is only one place for them: ``images/train/cat``, ``train/train/cat``.
    Raises ``LayoutError`` for two folders of one split, and for splits without training images.
    """
    _refuse_detection(root)
    root = _with_splits(root)
    names = _folders(root)
    splits = _splits(names)
    others = sorted({*names}.difference(*splits.values()))
    if not any(splits.values()) or _is_class(root, splits, others):
        return Layout(root, root)
    train, test = _only(root, splits, "train"), _only(root, splits, "test")
    if train is None:
        raise LayoutError(_without_train(root, splits, others))
    _refuse_detection(train)
    given = tuple(root / name for name in splits["validation"])
    tested = test and _with_classes(test, "test")
    return Layout(root, _with_classes(train, "train"), tested, _unused(train, others), given)


def _with_splits(root: Path) -> Path:
    """Return the folder below ``root`` that has the splits, or the classes; ``root`` if none clearly does."""
    place = root
    for _ in range(_DEEPEST):
        names = _folders(place)
        splits = [name for name in names if _splits(_folders(place / name))["train"]]
        if any(_splits(names).values()) or _has_images(place):
            break
        if len(splits) == 1 and not any(_holds_images(place / name) for name in names if name != splits[0]):
            return place / splits[0]
        if len(names) != 1:
            break
        (name,) = names
        place /= name
        if (name.lower() in _CONTENTS or name.lower() == root.name.lower()) and len(_folders(place)) > 1:
            return place
    return root


def _with_classes(split: Path, kind: Kind) -> Path:
    """Return the folder of a split's classes: within it, if it has only itself or ``images`` again."""
    place = split
    for _ in range(_DEEPEST):
        names = _folders(place)
        if len(names) != 1 or _has_images(place) or not _folders(place / names[0]):
            break
        if names[0].lower() not in _CONTENTS and not _splits(names)[kind]:
            break
        place /= names[0]
    return place


def _holds_images(folder: Path) -> bool:
    """Return whether there is an image anywhere below a folder."""
    return next(walk_images(folder, Counter()), None) is not None


def _refuse_detection(folder: Path) -> None:
    """Raise ``LayoutError`` for images with boxes in text files, as programs of the YOLO family read them."""
    images, labels = folder / "images", folder / "labels"
    if not (images.is_dir() and labels.is_dir()) or _holds_images(labels):
        return
    if next(labels.rglob("*.txt"), None) is not None:
        raise LayoutError(
            f"{folder} has images and a text file of boxes for each (YOLO): that is for finding objects, and "
            "hpo tells apart whole images. Put images in one folder per class",
            advise=True,
        )


def class_folders(folder: Path, fewest: int = 2) -> dict[str, Path]:
    """Return the folders of a split's classes, sorted by name in Unicode's composed form (NFC).

    Raises ``LayoutError`` for fewer than ``fewest``, for splits in place of classes, and for a name that
    cannot be used.
    """
    names = _folders(folder)
    if not names:
        raise LayoutError(f"{folder} has no class folders{_only_loose(folder)}", advise=True)
    if len(names) < fewest:
        raise _single(folder, names[0])
    _refuse_splits(folder, names)
    return _by_class(folder, names)


def _only_loose(folder: Path) -> str:
    """Return what a folder without class folders has: loose images, names that begin with a class."""
    loose = [path.name for path in folder.iterdir() if is_image(path.name)]
    if not loose:
        return ""
    found = f", only {counted(len(loose), 'loose image')}: put images in one folder per class"
    begins = Counter(match[0] for name in loose if (match := _BEGINNING.match(name)))
    names = sorted(begins)
    if 2 <= len(names) <= _MOST_BEGINNINGS and begins.total() == len(loose) > len(names):
        found += f" (their names begin with {_some(names)})"
    return found + ", or list them in a table with the columns path and label (dataset: table)"


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
        return sorted(entry.name for entry in entries if not is_passed_over(entry.name) and is_folder(entry))


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
        usual = composed(name)
        if usual in found:
            raise LayoutError(
                f"{folder} has two folders of the class {usual}, in two Unicode forms "
                f"({found[usual].name!a}, {name!a}): merge them, or rename one"
            )
        found[usual] = folder / name
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
    return (_with_classes(found[0], "validation") if found else None), ()
