"""``hpo init``: write a first study file."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hpo.text import counted

if TYPE_CHECKING:
    from hpo.config.template import Images, Length

T = TypeVar("T")
_MINUTES = "20"


class SearchName(StrEnum):
    """The hyperparameters that a first study searches."""

    LECTURE = "lecture"
    REGULARIZATION = "regularization"


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")] = Path("study.yaml"),
    images: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A data set by name, a folder with one folder of images per class, a table, an .npz file, "
            "or package.module:function. [default: cifar10 if it is on this machine, otherwise synthetic]",
            show_default=False,
        ),
    ] = None,
    length: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help=f"Minutes on this machine (30), or trials x epochs (20x5). [default: {_MINUTES}]",
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        SearchName | None,
        typer.Option(
            help="All choices of lecture 6, or only learning rate and regularization. [default: lecture]",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a commented study file.

    Without options, on a terminal, it asks three questions.
    """
    from hpo.config.parsing.load import parse_study
    from hpo.config.template import SEARCHES, first_study, name_from, parse_length
    from hpo.errors import UserError
    from hpo.files import write_text

    if file.exists() and not force:
        raise UserError(f"{file} already exists: choose another file, or overwrite it with --force")
    asks = sys.stdin.isatty() and (images, length, search) == (None, None, None)
    answer = _ask if asks else _take_default
    which = _images(images) if images is not None else answer(_IMAGES, _default_images(), _images)
    how_long = parse_length(length) if length is not None else answer(_LENGTH, _MINUTES, parse_length)
    what = search or answer(_SEARCH, SearchName.LECTURE.value, _search)
    planned, about, takes = _plan(how_long, which)
    text = first_study(name_from(file.stem), which, planned, SEARCHES[what.value], takes)
    parse_study(text, str(file))
    write_text(file, text)
    _report(file, planned, about)


_IMAGES = """\
1. Which images?
   cifar10    60,000 photographs in 10 classes (170 MB, downloaded once)
   synthetic  images that hpo generates
   or a folder of your own with one folder of images per class; a table (.csv), an .npz file, another
   data set by name (mnist, svhn, digits ...), or package.module:function"""
_LENGTH = """\
2. How long?
   minutes on this machine, such as 30; or trials x epochs, such as 20x5"""
_SEARCH = """\
3. What to search?
   lecture         activation, initializer, normalization, optimizer, learning rate, weight decay
   regularization  learning rate, weight decay, dropout and label smoothing of one good network"""


def _ask(question: str, default: str, read: Callable[[str], T]) -> T:
    """Ask until the answer is valid."""
    from hpo.cli.console import print_error
    from hpo.errors import HpoError

    typer.echo(question)
    while True:
        try:
            return read(typer.prompt("  ", default=default, prompt_suffix=""))
        except HpoError as error:
            print_error(str(error))


def _take_default(question: str, default: str, read: Callable[[str], T]) -> T:
    return read(default)


def _search(name: str) -> SearchName:
    from hpo.errors import UserError

    try:
        return SearchName(name.strip())
    except ValueError:
        raise UserError(f"{name!r} is not one of: {', '.join(SearchName)}") from None


def _default_images() -> str:
    from hpo.data.cifar10 import found_on_disk
    from hpo.settings import settings

    on_disk = found_on_disk(settings().data.absolute()) is not None
    return "cifar10" if on_disk else "synthetic"


def _images(what: str) -> Images:
    """Return the images that ``what`` selects. Raises ``DataError`` if they cannot be used."""
    import numpy as np

    from hpo.cli.console import print_warning
    from hpo.config.image_format import AUTO, STANDARD
    from hpo.config.template import Images
    from hpo.data import synthetic
    from hpo.data.auto_format import auto_format, relative_cost
    from hpo.data.overview import IMBALANCED, imbalance
    from hpo.data.published import PUBLISHED
    from hpo.errors import UserError
    from hpo.files import is_utf8
    from hpo.training.data_overview import named_images
    from hpo.training.study_images import images_of

    name, root = named_images(what.strip())
    if name == "cifar10":
        return Images(name, available=50_000, classes=10)
    if name == "synthetic":
        classes = len(synthetic.CLASSES)
        return Images(name, available=synthetic.TRAIN_PER_CLASS * classes, classes=classes)
    if name in PUBLISHED:
        return Images(name, PUBLISHED[name].counts[0], PUBLISHED[name].class_count)
    if root is not None and not is_utf8(Path(root)):
        raise UserError(f"a study file cannot hold the path {os.fsencode(root)!r}, which is not UTF-8")
    images = images_of(name, root)
    source = images.source(STANDARD)
    for warning in source.warnings:
        print_warning(warning)
    counts = np.bincount(source.decode().train.labels, minlength=len(source.classes)).tolist()
    fields = {"image_size": AUTO, "resize": STANDARD.resize, "channels": AUTO}
    form, _ = auto_format(fields, *images.survey())
    return Images(
        name,
        available=sum(counts),
        classes=len(source.classes),
        root=root,
        imbalanced=imbalance(counts) >= IMBALANCED,
        cost=relative_cost(form),
    )


def _plan(how_long: float | Length, images: Images) -> tuple[Length, str, str]:
    """Return the trials and epochs, their duration at this machine's speed, and a comment about it."""
    from hpo.cli.console import stderr
    from hpo.config.template import Length, fitting_length
    from hpo.reporting import formatting
    from hpo.training.speed import pool_speed

    if stderr().is_terminal:
        stderr().print("measuring this machine's training speed ...", style="dim")
    if isinstance(how_long, Length):
        speed, length = pool_speed(how_long.trials) / images.cost, how_long
    else:
        speed = pool_speed() / images.cost
        length = fitting_length(60 * how_long * speed, images)
    work = length.work(images)
    about = formatting.duration(work / speed)
    comment = (
        f"Duration: about {about}, less if trials are stopped early: {counted(work, 'image')}\n"
        f"(trials x epochs x images) at {speed:,.0f} images/s, this machine's speed if nothing else runs."
    )
    return length, about, comment


def _report(file: Path, length: Length, about: str) -> None:
    from hpo.cli.console import printable, stdout
    from hpo.reporting import formatting

    size = f"{formatting.counted(length.trials, 'trial')}, {formatting.counted(length.epochs, 'epoch')} each"
    stdout().print(printable(f"{file}  {size}, about {about} on this machine"), soft_wrap=True)
    stdout().print(printable(f"hpo run {shlex.quote(str(file))}"), soft_wrap=True)
