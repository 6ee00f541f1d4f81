"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
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


Ray: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Train on a Ray cluster: HOST:PORT, ray://HOST:PORT, auto or local. "
        "[default: $RAY_ADDRESS, else a Ray that is started here for the run]",
        show_default=False,
    ),
]


def with_ray_address(arguments: Sequence[str]) -> list[str]:
    """``--ray`` may stand alone: only what looks like a cluster's address after it is one."""
    from hpo.workers.ray.resources import is_address

    joined, rest = [], list(arguments)
    while rest:
        each = rest.pop(0)
        if each == "--ray":
            each = f"--ray={rest.pop(0) if rest and is_address(rest[0]) else ''}"
        joined.append(each)
    return joined


def storage_url(option: str | None) -> str:
    """The database that a command is to use."""
    from hpo.settings import settings

    return option or settings().storage
