"""optuna-dashboard on a study database: behind a login, and read-only by default."""

DEFAULT_PORT = 8080
"""The port of ``hpo dashboard``."""
