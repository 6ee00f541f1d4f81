"""Images listed in a table: CSV, JSON lines or Parquet with a path and a label in each row."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hpo.config.division import NO_RULES, DivisionRules
from hpo.config.image_format import STANDARD, ImageFormat
from hpo.data.cache import Source
from hpo.data.class_names import alike, check_class_names, composed
from hpo.data.divide import divide
from hpo.data.folder import ImageFile, Listing, flat, hold_out, listed_source, listing_of
from hpo.data.hold_out import too_few_for_test
from hpo.data.image_keys import Named
from hpo.data.layout import KINDS, Kind
from hpo.errors import DataError
from hpo.files import path_text, regular_file
from hpo.settings import expanded
from hpo.text import counted

PATHS = ("path", "file", "file_name", "filename", "filepath", "file_path", "image", "image_path", "img")
LABELS = ("label", "class", "category", "class_name", "target", "labels", "y")
SPLITS = ("split", "subset", "set", "partition")
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""What a Hugging Face image folder calls its table."""
_SHOWN = 5
_SUFFIXES = {".csv": ",", ".tsv": "\t", ".txt": ","}
_Row = Mapping[str, Any]


def table_source(path: Path, form: ImageFormat = STANDARD, *, rules: DivisionRules = NO_RULES) -> Source:
    """Return the images that a table lists, by paths relative to it. Raises ``DataError``."""
    return source_of_table(path, table_listing(path, rules), form)


def source_of_table(path: Path, listing: Listing, form: ImageFormat) -> Source:
    """Return the images that ``table_listing`` found as a source."""
    path = expanded(path).absolute()
    return listed_source(path, listing, form, name="table", what="images listed in")


def table_listing(path: Path, rules: DivisionRules = NO_RULES) -> Listing:
    """Return the images that a table lists. Raises ``DataError``."""
    return _listing(expanded(path).absolute(), rules)


def _listing(path: Path, rules: DivisionRules) -> Listing:
    path = _table_in(path) if path.is_dir() else path
    try:
        regular_file(path)
        rows = _rows(path)
        columns = _Columns.of(path, list(dict.fromkeys(each for row in rows for each in row)))
        return _listed(path, rows, columns, rules)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {error.filename or path}") from error
    except OSError as error:
        raise DataError(f"cannot read {error.filename or path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8") from error


def _table_in(folder: Path) -> Path:
    found = [folder / name for name in METADATA if (folder / name).is_file()]
    if not found:
        raise DataError(
            f"{folder} is a folder without {' or '.join(METADATA)}: use dataset: folder, or name the table"
        )
    return found[0]


def _rows(path: Path) -> Sequence[_Row]:
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        rows = _delimited(path, _SUFFIXES[suffix])
    elif suffix in (".jsonl", ".ndjson"):
        rows = _json_lines(path)
    elif suffix == ".parquet":
        rows = _parquet(path)
    else:
        raise DataError(f"{path} is not a table: use .csv, .tsv, .jsonl or .parquet")
    if not rows:
        raise DataError(f"{path} has no rows: each names an image and its label")
    return rows


def _delimited(path: Path, usual: str) -> list[_Row]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle, delimiter=_delimiter(path, usual), strict=True)
        columns = [each.strip().lower() for each in reader.fieldnames or ()]
        twice = [each for each, count in Counter(columns).items() if count > 1]
        if twice:
            raise DataError(f"{path} has several columns {twice[0]!r}: keep one")
        try:
            rows: list[_Row] = [row for row in reader if any(row.values())]
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.reader.line_num}: {error}") from error
    broken = next((n for n, row in enumerate(rows, 1) if None in row or None in row.values()), None)
    if broken:
        values = counted(len(columns), "value")
        raise DataError(f"{path}: row {broken} does not have {values}, one for each column")
    return rows


def _delimiter(path: Path, usual: str) -> str:
    """Return the delimiter of the first line: semicolons are what some programs write."""
    with path.open(encoding="utf-8-sig") as handle:
        first = handle.readline()
    return max((usual, ";", "\t"), key=first.count)


def _json_lines(path: Path) -> list[_Row]:
    rows: list[_Row] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}, line {number} is not JSON: {error}") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number} is not an object with a path and a label")
            rows.append(row)
    return rows


def _parquet(path: Path) -> list[_Row]:
    try:
        import pyarrow.parquet
        from pyarrow.lib import ArrowException
    except ImportError as error:
        raise DataError(f"{path} needs pyarrow: pip install pyarrow, or save the table as CSV") from error
    path.stat()
    try:
        rows: list[_Row] = pyarrow.parquet.read_table(path).to_pylist()
    except ArrowException as error:
        raise DataError(f"{path} is not a Parquet file: {error}") from error
    return rows


def _column(path: Path, columns: Iterable[str], names: Sequence[str], what: str) -> tuple[str, list[str]]:
    """Return the column of paths or of labels, and others that could be meant."""
    found = {name: each for each in columns if (name := str(each).strip().lower()) in names}
    if not found:
        listed = ", ".join(map(repr, columns))
        raise DataError(f"{path} has no column of {what}, only {listed}: call it {' or '.join(names[:3])}")
    first, *others = sorted(found, key=names.index)
    return found[first], [found[each] for each in others]


@dataclass(frozen=True)
class _Columns:
    """Where the rows of a table have their paths, labels and splits."""

    image: str
    label: str
    split: str | None
    others: tuple[str, ...]
    """Columns that could be meant as well."""

    @classmethod
    def of(cls, path: Path, columns: Sequence[str]) -> _Columns:
        image, images = _column(path, columns, PATHS, "paths")
        label, labels = _column(path, columns, LABELS, "labels")
        split = next((each for each in columns if str(each).strip().lower() in SPLITS), None)
        return cls(image, label, split, (*images, *labels))

    def warnings(self, path: Path) -> list[str]:
        if not self.others:
            return []
        used = f"the columns {self.image!r} and {self.label!r} of {path_text(path)} are used"
        return [f"{used}, not {', '.join(map(repr, self.others))}: remove the others, or rename them"]


def _listed(path: Path, rows: Sequence[_Row], columns: _Columns, rules: DivisionRules) -> Listing:
    found: dict[Path, tuple[Kind, ImageFile]] = {}
    by_path: dict[str, _Row] = {}
    missing, repeated = [], 0
    for number, row in enumerate(rows, 1):
        kind, file = _file(path, number, row, columns)
        place = Path(file.path)
        if file.size < 0:
            missing.append(file.path)
        elif place in found and found[place] != (kind, file):
            raise DataError(f"{path}: row {number} lists {file.path} again, with another label or split")
        repeated += place in found
        found[place] = kind, file
        by_path.setdefault(file.path, row)
    if missing:
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        named = ", ".join(missing[:_SHOWN])
        raise DataError(f"{path} lists files that do not exist: {named}{more}{_hint(path, missing[0])}")
    warnings = [*columns.warnings(path), *alike({file.class_name: None for _, file in found.values()})]
    if repeated:
        rows_that = counted(repeated, "row lists an image", "rows list an image")
        warnings.append(f"{rows_that} of {path_text(path)} again: each image is used once")
    keys = partial(_named, columns.image, by_path)
    return _in_splits(path, list(found.values()), warnings, rules, keys)


def _named(image: str, rows: Mapping[str, _Row], files: Sequence[ImageFile]) -> Named:
    """Return the images with the columns of the table."""
    found = [rows[file.path] for file in files]
    return Named([_plain(row.get(image)) for row in found], _Texts(found))


class _Texts(Mapping[str, Sequence[str]]):
    """The columns of a table as texts, each made when it is asked for."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._rows = rows
        self._names = dict.fromkeys(str(each) for row in rows for each in row)

    def __getitem__(self, name: str) -> Sequence[str]:
        if name not in self._names:
            raise KeyError(name)
        return [_plain(row.get(name)) for row in self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _plain(value: Any) -> str:
    return "" if value is None or value != value else str(value).strip()


def _file(path: Path, number: int, row: _Row, columns: _Columns) -> tuple[Kind, ImageFile]:
    """Return the split and the image of a row; the size of one that does not exist is -1."""
    given, name = _text(path, number, row, columns.image), _text(path, number, row, columns.label)
    name = composed(name)
    if not name or not given:
        raise DataError(f"{path}: row {number} has no {'label' if given else 'path'}")
    if "://" in given or "\0" in given:
        raise DataError(f"{path}: row {number} has {given!r}, which is not a file on this machine")
    place = _place(path.parent, given)
    kind = _kind(path, number, row, columns.split)
    try:
        status = place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return kind, ImageFile(str(place), name, -1, 0)
    return kind, ImageFile(str(place), name, status.st_size, status.st_mtime_ns)


def _place(folder: Path, given: str) -> Path:
    """Return the path of an image; where its name is on the disk in the other Unicode form, that."""
    place = folder / given
    if not given.isascii() and not place.exists():
        forms = (folder / unicodedata.normalize(form, given) for form in ("NFC", "NFD"))
        return next((each for each in forms if each.exists()), place)
    return place


def _hint(table: Path, missing: str) -> str:
    """Return where a file is that a table lists elsewhere, or without its extension; mostly empty."""
    given = os.path.relpath(missing, table.parent)
    if given.startswith(".."):
        return ""
    folders = [table.parent, *(each for each in sorted(table.parent.iterdir()) if each.is_dir())]
    for folder in folders:
        for suffix in ("", ".jpg", ".jpeg", ".png", ".JPG", ".JPEG"):
            if (found := folder / f"{given}{suffix}").is_file():
                there = path_text(found.relative_to(table.parent))
                return f". There is {there}: write paths relative to the table, with their extension"
    return ". Paths are relative to the table"


def _text(path: Path, number: int, row: _Row, column: str) -> str:
    """Return a value as text, empty if there is none; pandas writes NaN for that."""
    value = row.get(column)
    if value is None or value != value:
        return ""
    if not isinstance(value, str | int | float):
        kind = type(value).__name__
        raise DataError(f"{path}: row {number} has a {kind} as {column}: use a text or a number")
    return str(value).strip()


def _kind(path: Path, number: int, row: _Row, column: str | None) -> Kind:
    if column is None:
        return "train"
    value = _text(path, number, row, column)
    if value.lower() not in KINDS:
        raise DataError(f"{path}: row {number} has the {column} {value!r}: use train, test or validation")
    return KINDS[value.lower()]


def _in_splits(
    path: Path,
    files: Sequence[tuple[Kind, ImageFile]],
    warnings: list[str],
    rules: DivisionRules,
    named: Callable[[list[ImageFile]], Named],
) -> Listing:
    train, test = _by_class(files, "train"), _by_class(files, "test")
    if len(train) < 2:
        only = f"only the class {next(iter(train))}" if train else "no images"
        raise DataError(f"{path} has {only} for training; a classifier needs two classes or more")
    unknown = sorted({*test} - {*train})
    if unknown:
        raise DataError(
            f"{path}: the test images have the class {', '.join(unknown)}, which training does not have: "
            "rename it, add training images of it, or remove its rows"
        )
    given = _by_class(files, "validation")
    if rules.uses_given:
        unknown = sorted({*given} - {*train})
        if unknown:
            raise DataError(
                f"{path}: the validation images have the class {', '.join(unknown)}, which training does not "
                "have"
            )
        if given and (absent := sorted({*train} - {*given})):
            warnings.append(f"the validation images of {path_text(path)} have no {', '.join(absent)}")
        if not given and rules.validation == "given":
            raise DataError(f"validation: given, but {path} has no validation images in a column split")
    elif given:
        count = len(flat(given))
        images = counted(count, "validation image is", "validation images are")
        warnings.append(f"{images} not used ({path_text(path)}): hpo draws its own (val_fraction)")
    absent = sorted({*train} - {*test}) if test else []
    if absent:
        warnings.append(f"the test images of {path_text(path)} have no {', '.join(absent)}")
    try:
        check_class_names(tuple(train))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if not test and rules.is_plain:
        warnings += too_few_for_test(train)
    done = divide(
        train,
        flat(given) if rules.uses_given else [],
        flat(test) if test else None,
        rules,
        named,
        lambda: hold_out(path.parent, train),
    )
    return listing_of(path, tuple(train), done, warnings)


def _by_class(files: Iterable[tuple[Kind, ImageFile]], split: Kind) -> dict[str, list[ImageFile]]:
    found: dict[str, list[ImageFile]] = {}
    for kind, file in sorted(files):
        if kind == split:
            found.setdefault(file.class_name, []).append(file)
    return dict(sorted(found.items()))
