"""``hpo test``: a trial's configuration, measured on the test images."""

from __future__ import annotations

from typing import Annotated

import typer

from hpo.cli.options import Storage, storage_url


def test(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="The study's name.")],
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="The trial's number, from 0.", min=0)],
    storage: Storage = None,
) -> None:
    """Plan to measure a trial's configuration on the test images; `hpo run STUDY` does it.

    It is trained on training and validation images. Do this once, for the winner: whoever chooses among
    several looks chooses the luckiest. Each look is counted. A study that confirms looks by itself.
    """
    from hpo.cli.console import printable, stderr, stdout
    from hpo.cli.views.tables import study_in_database
    from hpo.reporting import formatting
    from hpo.stages.advance import look_again
    from hpo.storage.store import ResultsStore

    url = storage_url(storage)
    study_in_database(url, study)
    with ResultsStore(url) as store:
        looks = look_again(store, study, number)
    if looks:
        warning = (
            f"warning: this is look {looks + 1} at the test images, "
            f"after {formatting.count(looks, 'other')}: only the first is an honest one"
        )
        stderr().print(warning, style="yellow", soft_wrap=True)
    stdout().print(printable(f"planned: trial {number} of {study} on the test images; `hpo run` trains it"))
