"""Images listed in a table: CSV, JSON lines or Parquet with a path and a label in each row."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.config.image_format import STANDARD, ImageFormat
from hpo.data.cache import Source
from hpo.data.folder import ImageFile, Listing, flat, hold_out, listed_source
from hpo.errors import DataError
from hpo.files import path_text
from hpo.settings import expanded
from hpo.text import counted

PATHS = ("path", "file", "file_name", "filename", "filepath", "file_path", "image", "image_path", "img")
LABELS = ("label", "class", "category", "class_name", "target", "labels", "y")
SPLITS = ("split", "subset", "set", "partition")
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""What a Hugging Face image folder calls its table."""
_TRAIN, _TEST = ("train", "training"), ("test", "testing")
_VALIDATION = ("val", "valid", "validation", "dev", "eval")
_SHOWN = 5
_SUFFIXES = {".csv": ",", ".tsv": "\t", ".txt": ","}
_Row = Mapping[str, Any]


def table_source(path: Path, form: ImageFormat = STANDARD) -> Source:
    """Return the images that a table lists, by paths relative to it. Raises ``DataError``."""
    path = expanded(path).absolute()
    return listed_source(path, _listing(path), form, name="table", what=f"images listed in {path_text(path)}")


def table_listing(path: Path) -> Listing:
    """Return the images that a table lists. Raises ``DataError`` as ``table_source`` does."""
    return _listing(expanded(path).absolute())


def _listing(path: Path) -> Listing:
    path = _table_in(path) if path.is_dir() else path
    try:
        rows = _rows(path)
        columns = list(rows[0]) if rows else []
        image, label = _column(path, columns, PATHS, "paths"), _column(path, columns, LABELS, "labels")
        split = next((each for each in columns if str(each).strip().lower() in SPLITS), None)
        return _listed(path, rows, image, label, split)
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
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle, delimiter=_delimiter(path, _SUFFIXES[suffix]), strict=True)
            try:
                rows = [row for row in reader if any(row.values())]
            except csv.Error as error:
                raise DataError(f"{path}, line {reader.line_num}: {error}") from error
        broken = next((n for n, row in enumerate(rows, 1) if None in row or None in row.values()), None)
        if broken:
            raise DataError(
                f"{path}: row {broken} does not have "
                f"{counted(len(reader.fieldnames or ()), 'value')}, one for each column"
            )
        return rows
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(path)
    if suffix == ".parquet":
        return _parquet(path)
    raise DataError(f"{path} is not a table: use .csv, .tsv, .jsonl or .parquet")


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


def _column(path: Path, columns: Iterable[str], names: Sequence[str], what: str) -> str:
    found = {name: each for each in columns if (name := str(each).strip().lower()) in names}
    if not found:
        listed = ", ".join(map(repr, columns)) or "no columns"
        raise DataError(f"{path} has no column of {what}, only {listed}: call it {' or '.join(names[:3])}")
    return found[min(found, key=names.index)]


def _listed(path: Path, rows: Sequence[_Row], image: str, label: str, split: str | None) -> Listing:
    parts: dict[str, dict[str, list[ImageFile]]] = {"train": {}, "test": {}, "validation": {}}
    missing = []
    for number, row in enumerate(rows, 1):
        name = "" if row[label] is None else str(row[label]).strip()
        if not name or not row[image]:
            raise DataError(f"{path}: row {number} has no {'label' if row[image] else 'path'}")
        place = Path(str(row[image]).strip())
        place = place if place.is_absolute() else path.parent / place
        try:
            status = place.stat()
        except (FileNotFoundError, NotADirectoryError):
            missing.append(str(place))
            continue
        file = ImageFile(str(place), name, status.st_size, status.st_mtime_ns)
        parts[_split(path, number, row, split)].setdefault(name, []).append(file)
    if missing:
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        raise DataError(f"{path} lists files that do not exist: {', '.join(missing[:_SHOWN])}{more}")
    return _in_splits(path, parts)


def _split(path: Path, number: int, row: _Row, column: str | None) -> str:
    value = str(row[column] or "").strip().lower() if column else "train"
    for kind, words in (("train", _TRAIN), ("test", _TEST), ("validation", _VALIDATION)):
        if value in words:
            return kind
    raise DataError(
        f"{path}: row {number} has the {column} {row[column or '']!r}: use train, test or validation"
    )


def _in_splits(path: Path, parts: dict[str, dict[str, list[ImageFile]]]) -> Listing:
    train = {name: sorted(files) for name, files in sorted(parts["train"].items())}
    test = {name: sorted(files) for name, files in sorted(parts["test"].items())}
    if len(train) < 2:
        named = f"only the class {next(iter(train))}" if train else "no images"
        raise DataError(f"{path} has {named} for training; a classifier needs two classes or more")
    unknown = sorted({*test} - {*train})
    if unknown:
        raise DataError(
            f"{path}: the test images have the class {', '.join(unknown)}, which training does not have"
        )
    count = sum(map(len, parts["validation"].values()))
    warnings = (
        [
            f"{counted(count, 'validation image')} of {path_text(path)} are not used: hpo draws its "
            f"own (val_fraction)"
        ]
        if count
        else []
    )
    absent = sorted({*train} - {*test}) if test else []
    if absent:
        warnings.append(f"the test images of {path_text(path)} have no {', '.join(absent)}")
    classes = tuple(train)
    if not test:
        kept, held_out = hold_out(path.parent, train)
        return Listing(classes, kept, held_out, True, tuple(warnings))
    return Listing(classes, flat(train), flat(test), False, tuple(warnings))
