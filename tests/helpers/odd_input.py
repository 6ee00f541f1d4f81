"""Odd arguments, files, folders and databases for every command, drawn by Hypothesis."""
# ruff: noqa: E501 - tables of odd words are easier to read in wide lines

from __future__ import annotations

import gzip
import shutil
import sqlite3
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from PIL import Image

from hpo.cli.app import command_line

STUDY = """\
study: tiny
seed: 1
trials: 3
sampler: random
fixed:
  dataset: synthetic
  train_images: 300
  width: 4
  depth: 2
  epochs: 1
  batch_size: 50
space:
  lr: {log: [1.0e-3, 1.0]}
  activation: {choice: [relu, tanh]}
  momentum: {uniform: [0.8, 0.99], when: {optimizer: sgd}}
first: [{lr: 0.1}]
"""
STAGED = """\
study: staged
fixed: {dataset: synthetic, train_images: 300, width: 4, depth: 2, batch_size: 50}
space: {lr: {log: [1.0e-3, 1.0]}, weight_decay: {choice: [0, 1.0e-4]}}
pruner: {asha: {reduction: 2}}
stages:
  - {name: coarse, trials: 4, epochs: 3, data: 0.5}
  - {name: fine, trials: 3, epochs: 3, carry: 1, pruner: none}
  - {name: sure, confirm: {top: 1, seeds: 2}}
"""
WORDS = (
    "", " ", "-1", "0", "1", "2", "3", "7", "1e400", "-0.0", "nan", "inf", "0x10", "1_000", "9" * 30, "1.5", "a", "none",
    "null", "true", "off", "~", "é", "\udcff", "日本", "\u202egnp", "a\nb", "a\tb", "\x1b[31m", "%s%n", "${HOME}", "'", '"', "`id`",
    ";", "*", "..", ".", "=", "a=b", "a=b=c", "lr=0.1", "lr=", "=0.1", "lr={", "lr=[1", "lr={log: [-4, -1]}", "space.lr.log=3",
    "fixed.lr=x", "stages=1", "trials=0", "trials=99999999", "first=defaults", "first=[{lr: 1}]", "momentum=0.5", "width=-3",
    "optimizer=adam", "model=a:b", "model=json:dumps", "dataset=folder", "data_root=odd", "checks=off", "sampler=grid",
    "sampler={tpe: {startup: x}}", "pruner=asha", "needs=[A b]", "batch_size=1e9", "epochs={int: [3, 1]}", "x" * 3000, "a" * 300,
    "{}", "[]", "[[[[", "&a [*a]", "!!python/object:os.system", "SELECT 1", "select * from results", "drop table x", "select",
    "select 1 as a, 2 as a", "with x as (select 1) select * from x", "select '\x00'", "--", "-", "---", "--no-such", "-h", "@x",
    "tiny", "staged", "TINY", "tiny ", "quickstart", "coarse_to_fine", "cpu", "cuda", "cuda:7", "mps", "cpu:1", "json", "csv",
    "parquet", "30", "20x5", "0x0", "1x1", "-1x2", "localhost", "127.0.0.1", "256.1.1.1", "::1", "0.0.0.0/0", "sobol", "lecture",
)  # fmt: skip
URLS = (
    "sqlite:///hpo.db", "sqlite:///", "sqlite://", "sqlite:", "sqlite:///odd", "sqlite:///odd/empty.db", "sqlite:///odd/text.db",
    "sqlite:///odd/cut.db", "sqlite:///odd/flipped.db", "sqlite:///odd/dropped.db", "sqlite:///odd/other.db", "sqlite:///odd/old.db",
    "sqlite:///odd/values.db", "sqlite:///odd/missing/x.db", "sqlite:///odd/link.db", "sqlite:///:memory:", "sqlite:///a?mode=ro",
    "sqlite://host/x", "hpo.db", "postgresql://", "postgresql://u@127.0.0.1:1/x", "postgresql://u:p@127.0.0.1:99999/x",
    "postgresql://[::1", "postgresql:///x?host=/nowhere", "mysql://u@h/x", "http://x", "sqlite:///\udcff.db", "sqlite:///odd/\n.db",
)  # fmt: skip
FILES = (
    "tiny.yaml", "staged.yaml", "drawn.yaml", "odd", "odd/empty", "odd/binary", "odd/link", "odd/loop", "odd/utf16.yaml",
    "odd/big.yaml", "odd/list.json", "odd/study.json", "odd/deep.yaml", "odd/pics", "odd/pics/a/1.png", "odd/text.png", "odd/cut.png",
    "odd/\udcff", "odd/no/such", "odd/cut.zip", "odd/study.zip", "odd/exported", "odd/bundle", "odd/\n.yaml", "/dev/null",
    "tiny.yaml/x", "~nobody/x", "out", "hpo.db",
)  # fmt: skip
"""Relative to the folder of a test, where nothing that is written can hurt."""


@dataclass(frozen=True)
class Command:
    """A command and its parameters, as Typer knows them."""

    words: tuple[str, ...]
    parameters: tuple[Any, ...]


def commands() -> dict[str, Command]:
    """Return every command by its name, those of groups too."""
    return {" ".join(each.words): each for each in _leaves((), command_line())}


def _leaves(words: tuple[str, ...], command: Any) -> list[Command]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [Command(words, tuple(command.params))]
    return [leaf for name, each in inner.items() for leaf in _leaves((*words, name), each)]


ANYTHING = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(FILES),
    st.sampled_from(URLS),
    st.integers(-3, 10**12).map(str),
    st.floats().map(str),
    st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=12),
)
"""Any argument; the null character cannot be in one."""


@st.composite
def arguments(draw: st.DrawFn, command: Command) -> list[str]:
    """Draw the arguments of a command: mostly its own parameters, with fitting or odd values."""
    found: list[str] = []
    for parameter in command.parameters:
        if parameter.param_type_name == "argument":
            wanted = (
                draw(st.integers(1, 3)) if parameter.nargs == -1 else draw(st.sampled_from([1] * 9 + [0]))
            )
            found += [draw(_value(parameter)) for _ in range(wanted)]
        elif draw(st.integers(0, 4)) == 0:
            option = draw(st.sampled_from([*parameter.opts, *parameter.secondary_opts]))
            found += [option] if parameter.is_flag else [option, draw(_value(parameter))]
    if draw(st.integers(0, 6)) == 0:
        found.insert(draw(st.integers(0, len(found))), draw(ANYTHING))
    return [*command.words, *found]


def _value(parameter: Any) -> st.SearchStrategy[str]:
    kind: Any = getattr(parameter, "bare_type", None) or getattr(
        parameter, "type", None
    )  # of Typer, of Click
    is_enum = isinstance(kind, type) and issubclass(kind, Enum)
    fitting = [str(each.value) for each in kind] if is_enum else list(getattr(kind, "choices", ()))
    name = parameter.name or ""
    if "storage" in name:
        fitting += [*URLS, "sqlite:///hpo.db", "sqlite:///hpo.db"]
    elif "stud" in name or name == "name":
        fitting += ["tiny", "tiny", "staged", "tiny.yaml", "drawn.yaml", "drawn.yaml", "staged.yaml", *FILES]
    elif name in ("pairs", "changes"):
        fitting += [word for word in WORDS if "=" in word]
    elif name in ("file", "output", "folder", "images", "archive", "program", "target", "token_file", "path"):
        fitting += FILES
    elif name in ("sql", "query", "question"):
        fitting += [
            "failure-causes",
            *(word for word in WORDS if word.lower().startswith(("select", "with"))),
        ]
    else:
        fitting += ["0", "1", "2", "cpu"]
    return st.one_of(st.sampled_from(fitting), st.sampled_from(fitting), ANYTHING)


@st.composite
def study_text(draw: st.DrawFn) -> bytes:
    """Draw a study file: a valid one with values, lines, nesting and bytes changed."""
    text = draw(st.sampled_from([STUDY, STUDY, STAGED]))
    for _ in range(draw(st.integers(0, 3))):
        lines = text.splitlines(keepends=True)
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        line = lines[at] if lines else ""
        key, colon, _ = line.partition(":")
        odd = draw(st.sampled_from(WORDS))
        kind = draw(st.integers(0, 7))
        new = {
            0: f"{key}{colon} {odd}\n",
            1: "",
            2: line * 2,
            3: f"  {line}",
            4: line.replace(" ", draw(st.sampled_from(["\u00a0", "\t", "\u200b ", "", "\r"])), 1),
            5: f"{odd}: {odd}\n{line}",
            6: line.replace("[", "{", 1) if "[" in line else line.replace(":", "", 1),
            7: f"{key}{colon} [{odd}, {odd}]\n",
        }[kind]
        text = "".join([*lines[:at], new, *lines[at + 1 :]])
    content = text.encode("utf-8", "surrogateescape")
    if draw(st.integers(0, 5)) == 0 and content:
        at = draw(st.integers(0, len(content) - 1))
        content = content[:at] + draw(st.binary(max_size=3)) + content[at + 1 :]
    return content


def write_files(folder: Path) -> None:
    """Write the study files and the folder ``odd``; ``hpo.db`` in ``folder`` is copied into odd databases."""
    (folder / "tiny.yaml").write_text(STUDY)
    (folder / "staged.yaml").write_text(STAGED)
    odd = folder / "odd"
    odd.mkdir()
    (odd / "empty").touch()
    (odd / "binary").write_bytes(bytes(range(256)) * 20)
    (odd / "link").symlink_to("nowhere")
    (odd / "loop").symlink_to("loop")
    (odd / "utf16.yaml").write_bytes(STUDY.encode("utf-16"))
    (odd / "big.yaml").write_text("# " + "x" * 1_100_000)
    (odd / "list.json").write_text("[1, 2]")
    (odd / "study.json").write_text('{"study": "j", "trials": 1, "space": {"lr": {"log": [1e-3, 1]}}}')
    (odd / "deep.yaml").write_text("a: " + "[" * 5000)
    (odd / "\n.yaml").write_text(STUDY)
    (odd / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    (odd / "bundle").mkdir()
    (odd / "bundle" / "hpo.json").write_text("{}")
    _write_pictures(odd)
    _write_databases(odd, folder / "hpo.db")


def _write_pictures(odd: Path) -> None:
    for name in ("a", "b", "\udce9", "__MACOSX"):
        (odd / "pics" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (9, 9), (40 * number, 0, 99)).save(odd / "pics" / name / f"{number}.png")
    (odd / "pics" / "a" / "x.png").write_bytes(b"no picture")
    (odd / "text.png").write_text("no picture")
    (odd / "cut.png").write_bytes((odd / "pics" / "a" / "1.png").read_bytes()[:40])


def _write_databases(odd: Path, whole: Path) -> None:
    content = whole.read_bytes()
    (odd / "empty.db").touch()
    (odd / "text.db").write_text("not a database\n" * 100)
    (odd / "cut.db").write_bytes(content[: len(content) // 2])
    (odd / "flipped.db").write_bytes(content[:4200] + bytes(3000) + content[7200:])
    (odd / "link.db").symlink_to("nowhere.db")
    _changed(odd / "dropped.db", whole, "DROP VIEW curves", "DROP TABLE hpo_slot")
    _changed(
        odd / "values.db", whole,
        "UPDATE hpo_epoch SET val_accuracy = 9e999, train_loss = NULL", "UPDATE hpo_trial SET verdict = NULL",
        "UPDATE hpo_study SET dataset = char(27) || '[31m', priority = 2147483647",
    )  # fmt: skip
    _changed(odd / "other.db", None, "CREATE TABLE hpo_study (x)", "CREATE TABLE trials (y)")
    assets = Path(__file__).parents[1] / "upgrade_assets"
    (odd / "old.db").write_bytes(gzip.decompress((assets / "v0001.sqlite.gz").read_bytes()))


def _changed(path: Path, original: Path | None, *statements: str) -> None:
    if original is not None:
        shutil.copy(original, path)
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
