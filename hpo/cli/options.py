"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Storage: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="The database: sqlite:///FILE or postgresql://USER@HOST/NAME. "
        "[default: $HPO_STORAGE, else sqlite:///hpo.db]",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text.")]
Tags: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="TAG,...",
        help="What studies with `needs:` may ask for; on a GPU there is gpu without it.",
        show_default=False,
    ),
]


def storage_url(option: str | None) -> str:
    """The database that a command is to use."""
    from hpo.settings import settings

    return option or settings().storage
