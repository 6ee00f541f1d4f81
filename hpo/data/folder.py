"""Images in one folder per class: listed, checked, decoded in the format of a study."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hpo.config.division import NO_RULES, DivisionRules
from hpo.config.image_format import STANDARD, ImageFormat
from hpo.data.cache import Bytes, Decoded, DecodedSplit, Labels, Source, source_signature
from hpo.data.class_names import alike, composed
from hpo.data.divide import DividedFiles, divide
from hpo.data.division import DRAWN, Division
from hpo.data.hold_out import held_out_count, too_few_for_test
from hpo.data.image_keys import Named
from hpo.data.images import DecodedImage, decode_images
from hpo.data.layout import LayoutError, class_folders, find_layout, given_validation, shared_subfolders
from hpo.data.progress import progress_bar
from hpo.data.survey import ClassSurvey, SharedImages, Survey
from hpo.data.walk import (
    broken_link,
    is_folder,
    is_image,
    is_passed_over,
    left_out_sentence,
    unpack,
    walk_images,
)
from hpo.errors import DataError
from hpo.files import path_text
from hpo.limits import available_cores
from hpo.settings import expanded
from hpo.text import counted

FOLDER_HELP = (
    "Expected: ROOT/train/<class>/*.jpg (or png, ...) with two or more classes, and optionally "
    "ROOT/test/<class>/*.jpg.\nOr use dataset: cifar10, or dataset: synthetic, which needs no files."
)
_READER = 3  # increase it when images are decoded to other pixels, so that old caches are not reused
_CHUNK = 512  # images decoded between two writes
_SHOWN = 5  # damaged files named in one error


class ImageFile(NamedTuple):
    """An image in a class folder; ``size`` in bytes and ``mtime_ns`` show whether it has changed."""

    path: str
    class_name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """The sorted contents of an image folder; ``held_out``: whether test was held out from train."""

    root: Path
    """Where they were found: the folder of the splits or of the classes, or a table."""
    classes: tuple[str, ...]
    train: list[ImageFile]
    """Those that were given for validation are the last."""
    test: list[ImageFile]
    held_out: bool
    warnings: tuple[str, ...] = ()
    division: Division = DRAWN
    held_how: str = ""
    """How test images were held out, in words."""

    @property
    def counts(self) -> str:
        """How many images each split has, and what was held out, in words."""
        given = self.division.given
        of_val = f"{given:,} validation, " if given else ""
        text = f"{len(self.train) - given:,} train, {of_val}{len(self.test):,} test"
        return f"{text}; {self.held_how}" if self.held_how else text


def folder_source(
    root: Path,
    form: ImageFormat = STANDARD,
    *,
    name: str = "folder",
    advice: str = FOLDER_HELP,
    rules: DivisionRules = NO_RULES,
) -> Source:
    """Return the images below ``root``, listed now; pixels are read when ``decode`` is called.

    Raises ``DataError`` for a folder that cannot be used, with ``advice`` where the layout is the problem.
    """
    return source_of_folder(root, _listed(expanded(root).absolute(), advice, rules), form, name=name)


def source_of_folder(root: Path, listing: Listing, form: ImageFormat, *, name: str = "folder") -> Source:
    """Return the images that ``folder_listing`` found as a source."""
    return listed_source(expanded(root).absolute(), listing, form, name=name, what="images in")


def listed_source(root: Path, listing: Listing, form: ImageFormat, *, name: str, what: str) -> Source:
    """Return the images that were listed for ``root`` as a source; ``what`` names them."""
    what = f"{what} {path_text(listing.root)}"
    origin = f"{what} ({listing.counts})"
    signed = [_READER, root, *listing.train, "test", *listing.test, *form.signature]
    return Source(
        name=name,
        classes=listing.classes,
        count=len(listing.train) + len(listing.test),
        origin=origin,
        signature=source_signature(signed),
        decode=lambda: _decode(root, listing, form),
        warnings=listing.warnings,
        format=form,
        division=listing.division,
    )


def folder_listing(root: Path, rules: DivisionRules = NO_RULES) -> Listing:
    """Return the images below ``root``. Raises ``DataError`` as ``folder_source`` does."""
    return _listed(expanded(root).absolute(), FOLDER_HELP, rules)


def _listed(root: Path, advice: str, rules: DivisionRules) -> Listing:
    try:
        return list_images(root, rules)
    except OSError as error:
        raise DataError(f"cannot read {error.filename or root}: {error.strerror}") from error
    except LayoutError as error:
        raise DataError(f"{error}{_tables(root)}\n{advice}" if error.advise else str(error)) from error


def _tables(root: Path) -> str:
    """Return the tables in a folder that has no classes; mostly empty."""
    if not root.is_dir():
        return ""
    found = sorted(path for path in root.iterdir() if path.suffix.lower() in (".csv", ".tsv", ".jsonl"))
    return f"\nFor the labels in a table: dataset: table, data_root: {path_text(found[0])}" if found else ""


def list_images(root: Path, rules: DivisionRules = NO_RULES) -> Listing:
    """List the images of ``root/train``, ``val`` and ``test``, or of the class folders in ``root`` itself.

    Raises ``LayoutError``, and ``OSError`` for what cannot be read.
    """
    if not root.exists():
        link = broken_link(root)
        raise LayoutError(f"{root} {link}" if link else f"there is no folder {root}", advise=not link)
    if not root.is_dir():
        if unpacked := unpack(root):
            raise LayoutError(f"{root} is an archive: {unpacked}")
        raise LayoutError(f"{root} is a file, not a folder of images", advise=True)
    layout = find_layout(root)
    left_out: Counter[str] = Counter()
    train_folders = class_folders(layout.train)
    train = _list_classes(train_folders, left_out)
    validation, unused = given_validation(layout, rules)
    if validation and rules.validation == "auto" and not _has_labels(validation, train_folders):
        unused = (_unlabelled(validation),)
        validation = None
    nested = () if rules.groups else shared_subfolders(layout.train, train_folders)
    warnings = [*layout.warnings, *unused, *nested, *alike(train)]
    test_folder = layout.test
    if test_folder and not _has_labels(test_folder, train_folders):
        warnings.append(_unlabelled(test_folder))
        test_folder = None
    read = partial(_read_split, layout.train, train_folders.keys(), left_out, warnings)
    given = read(validation, "validation") if validation else []
    test = read(test_folder, "test") if test_folder else None
    if test is None and rules.is_plain:
        warnings += too_few_for_test(train)
    splits = [each for each in (layout.train, validation, test_folder) if each]
    done = divide(train, given, test, rules, partial(_named, splits), lambda: hold_out(layout.train, train))
    warnings += [*_loose(layout.root, *splits), *left_out_sentence(left_out)]
    return listing_of(layout.root, tuple(train), done, warnings)


def _read_split(
    train: Path, classes: Set[str], left_out: Counter[str], warnings: list[str], folder: Path, kind: str
) -> list[ImageFile]:
    """Return the images of the split ``kind``; add which classes it does not have to ``warnings``."""
    found = class_folders(folder, fewest=1)
    warnings += _other_classes(train, classes, folder, found.keys(), kind)
    return flat(_list_classes(found, left_out))


def listing_of(root: Path, classes: tuple[str, ...], done: DividedFiles, warnings: Sequence[str]) -> Listing:
    """Return divided images as a listing."""
    held = bool(done.held_how)
    return Listing(root, classes, done.train, done.test, held, tuple(warnings), done.division, done.held_how)


def _named(splits: Sequence[Path], files: Sequence[ImageFile]) -> Named:
    """Return the path of each image below the folder of its split."""
    roots = [f"{each}{os.sep}" for each in splits]
    return Named([_below(file.path, roots) for file in files])


def _below(path: str, roots: Sequence[str]) -> str:
    root = max((each for each in roots if path.startswith(each)), key=len, default="")
    return path[len(root) :].replace(os.sep, "/")


def _has_labels(test: Path, classes: Mapping[str, Path]) -> bool:
    """Return whether test images are in folders of classes: those of competitions come without labels."""
    names = [entry.name for entry in os.scandir(test) if is_folder(entry) and not is_passed_over(entry.name)]
    known = {each.casefold() for each in classes}
    return len(names) > 1 or any(composed(each).casefold() in known for each in names)


def _unlabelled(test: Path) -> str:
    return (
        f"{path_text(test)} is not used: its images are not in folders of the classes. Once a network is "
        "exported, hpo predict classifies them"
    )


def _list_classes(folders: Mapping[str, Path], left_out: Counter[str]) -> dict[str, list[ImageFile]]:
    """Return the image files of each class folder. Raises ``LayoutError`` if a class is empty."""
    found = {name: sorted(_scan(folder, name, left_out)) for name, folder in folders.items()}
    empty = [str(folders[name]) for name, files in found.items() if not files]
    if empty:
        raise LayoutError(
            f"no images in class folder {', '.join(empty)}: add images, or remove what is not a class"
        )
    return found


def _loose(*folders: Path) -> Iterator[str]:
    """Yield how many images are beside the class folders of each folder, and which links lead nowhere."""
    for folder in dict.fromkeys(folders):
        beside = sorted(path for path in folder.iterdir() if not is_passed_over(path.name))
        for path in beside:
            if link := broken_link(path):
                yield f"{path_text(path)} is left out: it {link}"
        count = sum(is_image(path.name) for path in beside)
        if count:
            yield f"images directly in {path_text(folder)}, without a class, are left out: {count:,}"


def _scan(folder: Path, class_name: str, left_out: Counter[str]) -> Iterator[ImageFile]:
    """Yield every image below a class folder; links that lead nowhere, too, which ``decode`` reports."""
    for entry in walk_images(folder, left_out):
        try:
            status = entry.stat()
        except OSError:  # gone, back to itself, or not to be read
            if not entry.is_symlink():
                raise
            yield ImageFile(entry.path, class_name, 0, 0)
        else:
            yield ImageFile(entry.path, class_name, status.st_size, status.st_mtime_ns)


def flat(found: Mapping[str, list[ImageFile]]) -> list[ImageFile]:
    """Return the images of all classes, one class after the other."""
    return [file for files in found.values() for file in files]


def _other_classes(train: Path, trained: Set[str], test: Path, tested: Set[str], kind: str) -> Iterator[str]:
    """Yield which classes have no images of a split, ``kind``.

    Raises ``LayoutError`` for classes without training images.
    """
    unknown = sorted(tested - trained)
    if unknown:
        forms = {name.casefold(): name for name in trained}
        same = next((f" ({forms[each.casefold()]})" for each in unknown if each.casefold() in forms), "")
        raise LayoutError(
            f"{test} has the class {', '.join(unknown)}, which {train} does not have: rename it as "
            f"there{same}, add training images of it, or remove it"
        )
    missing = sorted(trained - tested)
    if missing:
        yield f"the {kind} images in {path_text(test)} have no {', '.join(missing)}"


def hold_out(root: Path, found: dict[str, list[ImageFile]]) -> tuple[list[ImageFile], list[ImageFile]]:
    """Hold out a share of each class of two images or more: those with the lowest hashes of their names.

    The hash depends only on the name, so adding images leaves most others in the split they were in.
    """
    kept: list[ImageFile] = []
    held_out: list[ImageFile] = []
    for files in found.values():
        by_hash = sorted(files, key=lambda file: _name_hash(file, root))
        count = held_out_count(len(files))
        held_out += sorted(by_hash[:count])
        kept += sorted(by_hash[count:])
    return kept, held_out


def _name_hash(file: ImageFile, root: Path) -> bytes:
    return hashlib.sha256(os.fsencode(os.path.relpath(file.path, root))).digest()


def _decode(root: Path, listing: Listing, form: ImageFormat) -> Decoded:
    label = {name: i for i, name in enumerate(listing.classes)}
    survey = Survey()
    shared = SharedImages()
    damaged: list[str] = []
    test = _Part("test", listing.test, root, form, survey, shared, damaged)
    train = _Part("train", listing.train, root, form, survey, shared, damaged, following=test)
    return Decoded(
        DecodedSplit(_labels(listing.train, label), train.chunks()),
        DecodedSplit(_labels(listing.test, label), test.chunks()),
        lambda: (
            *train.classes.sentences("train"),
            *test.classes.sentences("test"),
            *shared.sentences(),
            *survey.sentences(),
        ),
    )


def _labels(files: list[ImageFile], label: dict[str, int]) -> Labels:
    return np.array([label[file.class_name] for file in files], dtype=np.int64)


class _Part:
    """The images of train or test, decoded chunk by chunk."""

    def __init__(
        self,
        name: str,
        files: list[ImageFile],
        root: Path,
        form: ImageFormat,
        survey: Survey,
        shared: SharedImages,
        damaged: list[str],
        following: _Part | None = None,
    ) -> None:
        self._name = name
        self._files = files
        self._root = root
        self._form = form
        self._survey = survey
        self._shared = shared
        self._damaged = damaged
        self._following = following
        self.classes = ClassSurvey()

    def chunks(self) -> Iterator[Bytes]:
        """Yield images (n, C, H, W). Raises ``DataError`` that names all images that cannot be used."""
        yield from self._read()
        if self._damaged and self._following:  # read it only to name its damaged images, too
            for _ in self._following.chunks():
                pass
        if self._damaged:
            raise DataError(_damage_report(self._damaged))

    def _read(self) -> Iterator[Bytes]:
        what = f"decoding {self._name} images of {path_text(self._root)} ({len(self._files):,})"
        with progress_bar(what, len(self._files)) as advance, ThreadPoolExecutor(available_cores()) as pool:
            for start in range(0, len(self._files), _CHUNK):
                chunk = self._files[start : start + _CHUNK]
                decoded = decode_images((Path(file.path) for file in chunk), pool, self._form)
                usable = [each for each in map(self._noticed, chunk, decoded) if each]
                if not self._damaged:
                    yield np.stack([image.pixels for image in usable])
                advance(len(chunk))

    def _noticed(self, file: ImageFile, image: DecodedImage | str) -> DecodedImage | None:
        if isinstance(image, str):
            self._damaged.append(f"{path_text(file.path)}: {image}")
            return None
        self._survey.add(file.path, image.remarks)
        self.classes.add(file.class_name, image)
        self._shared.add(file.path, file.class_name, image)
        return image


def _damage_report(damaged: list[str]) -> str:
    more = f"\n  and {len(damaged) - _SHOWN} more: hpo data --json lists all" if len(damaged) > _SHOWN else ""
    listing = "".join(f"\n  {line}" for line in damaged[:_SHOWN])
    images = counted(len(damaged), "image cannot", "images cannot")
    return f"{images} be used; repair or remove {'it' if len(damaged) == 1 else 'them'}:{listing}{more}"
