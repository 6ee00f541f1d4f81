"""``hpo schema``: the JSON schema of study files."""

from __future__ import annotations

import typer

from hpo.cli.options import OutputFile


def schema(
    output: OutputFile = None,
) -> None:
    """Print the JSON schema of study files, for editors."""
    from hpo.config.schema import schema_text
    from hpo.files import write_text

    if output is None:
        typer.echo(schema_text(), nl=False)
    else:
        write_text(output, schema_text())
