"""``python -m hpo.trainer``: the process in which a worker runs the user's trainer."""

from hpo.trainer.child import main

main()
