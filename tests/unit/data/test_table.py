"""Images listed in a table."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpo.config.division import DivisionRules
from hpo.data.cache import Source
from hpo.data.table import table_listing, table_source
from hpo.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve pictures, each of one gray value of its own."""
    for number in range(12):
        Image.new("L", (8, 8), number * 20).save(tmp_path / f"{number}.png")
    return tmp_path


def write(folder: Path, header: str, *rows: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def numbers(source: Source) -> list[list[int]]:
    """The numbers of the pictures in training and in test."""
    both = source.decode()
    return [
        sorted(int(image[0, 0, 0]) // 20 for chunk in each.chunks for image in chunk)
        for each in (both.train, both.test)
    ]


def test_paths_are_relative_to_the_table(folder: Path) -> None:
    rows = [f"{number}.png,{'ab'[number % 2]}" for number in range(12)]
    source = table_source(write(folder, "path,label", *rows))
    train, test = numbers(source)
    assert source.classes == ("a", "b") and sorted(train + test) == list(range(12)) and len(test) == 2
    assert "no test images, so 10% of each class was held out" in source.origin
    assert len(table_listing(folder / "labels.csv").train) == 10


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_split_column_tells_training_from_test(folder: Path, delimiter: str) -> None:
    words = ["Train"] * 8 + ["test", "Testing", "val", "validation"]
    rows = [delimiter.join((f"{n}.png", "ab"[n % 2], words[n])) for n in range(12)]
    source = table_source(write(folder, delimiter.join(("File_Name", "Class", "Split")), *rows))
    assert numbers(source) == [[*range(8), 10, 11], [8, 9]]
    assert source.division.given == 2 and source.warnings == ()
    source = table_source(folder / "labels.csv", rules=DivisionRules("drawn"))
    assert numbers(source) == [list(range(8)), [8, 9]] and source.division.given == 0
    (warning,) = source.warnings
    assert warning.startswith("2 validation images are not used ") and "val_fraction" in warning


def test_a_column_of_any_row_may_be_groups_or_times(folder: Path) -> None:
    rows: list[dict[str, Any]] = [{"file_name": f"{n}.png", "label": n % 2} for n in range(12)]
    rows[0]["note"] = "first"
    for n, row in enumerate(rows):
        row |= {"patient": n // 3, "day": 12 - n}
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = table_source(folder / "t.jsonl", rules=DivisionRules(order="day"))
    assert numbers(source)[1] == [0]  # the latest is the test
    blocks = table_source(folder / "t.jsonl", rules=DivisionRules(groups="patient")).division.blocks
    assert blocks is not None and len(blocks.names) == 4 and len(set(blocks.numbers.tolist())) == 3
    with pytest.raises(DataError, match="groups: 'note' is filled in for only 1 of 12 images"):
        table_source(folder / "t.jsonl", rules=DivisionRules(groups="note"))


def test_json_lines_and_parquet_are_tables_too(folder: Path) -> None:
    rows = [{"file_name": f"{n}.png", "label": n % 2} for n in range(12)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metadata.jsonl").write_text(lines)
    by_name = table_source(folder)
    assert by_name.classes == ("0", "1") and sum(map(len, numbers(by_name))) == 12
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "t.parquet")
    assert numbers(table_source(folder / "t.parquet")) == numbers(by_name)


def test_quotes_and_newlines_in_names_are_kept(folder: Path) -> None:
    odd = 'a, "b"\nc.png'
    Image.new("L", (8, 8), 240).save(folder / odd)
    quoted = '"' + odd.replace('"', '""') + '"'
    rows = [f"{n}.png,{'ab'[n % 2]},train" for n in range(12)] + [f"{quoted},a,test"]
    assert numbers(table_source(write(folder, "path,label,split", *rows)))[1] == [12]


@pytest.mark.parametrize(
    ("header", "rows", "problem"),
    [
        ("name,label", ["0.png,a"], "has no column of paths, only 'name', 'label': call it path or file"),
        ("path,kind", ["0.png,a"], "has no column of labels, only 'path', 'kind': call it label or class"),
        ("path,label", ["0.png,a", "1.png,"], "row 2 has no label"),
        ("path,label", ["0.png,a", ",b"], "row 2 has no path"),
        ("path,label", ["0.png,a", "1.png"], "row 2 does not have 2 values, one for each column"),
        ("path,label", ["0.png,a", "99.png,b"], "lists files that do not exist: .*99.png"),
        ("path,label", ["0.png,a", "1.png,a"], "has only the class a for training"),
        ("path,label", [], "has no rows: each names an image and its label"),
        ("", [], "has no rows"),
        ("path,label", ["http://host/1.png,a"], "row 1 has 'http://host/1.png', which is not a file on this"),
        ("path,Path,label", ["0.png,1.png,a"], "has several columns 'path': keep one"),
        ("path,label", ["0.png,a", "1.png,b", "0.png,b"], "row 3 lists .*0.png again, with another label"),
        (
            "path,label,split",
            ["0.png,a,train", "1.png,b,other"],
            "row 2 has the split 'other': use train, test",
        ),
        (
            "path,label,split",
            ["0.png,a,train", "1.png,b,train", "2.png,c,test"],
            "the class c, which training",
        ),
    ],
)
def test_tables_that_cannot_be_used_say_where_and_why(
    folder: Path, header: str, rows: list[str], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        table_source(write(folder, header, *rows))


def test_files_that_are_no_tables_are_refused(folder: Path) -> None:
    for path, problem in (
        (folder / "none.csv", "there is no file"),
        (folder, "is a folder without metadata.csv or metadata.jsonl or metadata.parquet"),
        (folder / "0.png", "is not a table: use .csv"),
    ):
        with pytest.raises(DataError, match=problem):
            table_source(path)
    (folder / "latin.csv").write_bytes("path,label\n0.png,\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin.csv is not UTF-8 \(byte 17\)"):
        table_source(folder / "latin.csv")
    (folder / "bad.jsonl").write_text('{"path": 1}\n[1]\n')
    with pytest.raises(DataError, match="line 2 is not an object"):
        table_source(folder / "bad.jsonl")


def test_the_signature_follows_files_and_labels(folder: Path) -> None:
    rows = [f"{n}.png,{'ab'[n % 2]}" for n in range(12)]
    path = write(folder, "path,label", *rows)
    before = table_source(path).signature
    assert table_source(path).signature == before
    changed = write(folder, "path,label", *rows[1:], "0.png,b")
    assert table_source(changed).signature != before
    write(folder, "path,label", *rows)
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(folder / "3.png")
    assert table_source(path).signature != before


def test_rows_that_repeat_an_image_count_once(folder: Path) -> None:
    rows = [f"{n}.png,{'ab'[n % 2]}" for n in range(12)]
    source = table_source(write(folder, "path,label", *rows, "3.png,b", "./4.png,a"))
    train, test = numbers(source)
    assert sorted(train + test) == list(range(12))
    (warning,) = source.warnings
    assert warning.startswith("2 rows list an image of ") and warning.endswith(
        "again: each image is used once"
    )


def test_several_columns_that_could_be_meant_are_told(folder: Path) -> None:
    rows = [f"{n}.png,x,{'ab'[n % 2]},y" for n in range(12)]
    source = table_source(write(folder, "path,file,label,class", *rows))
    (warning,) = source.warnings
    assert "the columns 'path' and 'label' of " in warning and "not 'file', 'class'" in warning


def test_json_lines_may_lack_a_key(folder: Path) -> None:
    (folder / "x.jsonl").write_text('{"path": "0.png", "label": 1}\n{"path": "1.png"}\n')
    with pytest.raises(DataError, match="row 2 has no label"):
        table_source(folder / "x.jsonl")
    for value, problem in (("NaN", "row 1 has no label"), ("[1]", "row 1 has a list as label: use a text")):
        (folder / "x.jsonl").write_text(f'{{"path": "0.png", "label": {value}}}\n')
        with pytest.raises(DataError, match=problem):
            table_source(folder / "x.jsonl")
    (folder / "x.jsonl").write_text('{"path": "0.png", "label": "a\\nb"}\n{"path": "1.png", "label": "c"}\n')
    with pytest.raises(DataError, match="has a control character: rename it"):
        table_source(folder / "x.jsonl")


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(DataError, match=r"pipe\.csv is not a regular file"):
        table_source(folder / "pipe.csv")


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("0.png", "There is images/0.png: write paths relative to the table, with their extension"),
        ("images/0", "There is images/0.png: write paths"),
        ("gone.png", "Paths are relative to the table"),
    ],
)
def test_where_a_listed_file_may_be_is_told(folder: Path, given: str, hint: str) -> None:
    (folder / "images").mkdir()
    (folder / "0.png").rename(folder / "images" / "0.png")
    table = write(folder, "path,label", f"{given},a", "1.png,b")
    with pytest.raises(DataError, match=f"lists files that do not exist: {folder}/{given}. {hint}"):
        table_listing(table)


def test_unicode_forms_of_paths_and_labels_are_one(folder: Path) -> None:
    """macOS writes decomposed names, and spreadsheets write composed ones."""
    (folder / "0.png").rename(folder / "cafe\u0301.png")
    rows = ["caf\u00e9.png,caf\u00e9", "1.png,cafe\u0301", "2.png,tea", "3.png,tea"]
    listing = table_listing(write(folder, "path,label", *rows))
    assert listing.classes == ("caf\u00e9", "tea") and len(listing.train + listing.test) == 4


def test_the_only_image_of_a_class_and_labels_alike_are_told(folder: Path) -> None:
    rows = ["0.png,Cat", "1.png,Cat", "2.png,cat"]
    listing = table_listing(write(folder, "path,label", *rows))
    assert (len(listing.train), len(listing.test)) == (2, 1)
    alike, single = listing.warnings
    assert alike.startswith("the names of the classes 'Cat' and 'cat' differ only in case")
    assert single == "one image is not enough to hold one out for test: of cat"
