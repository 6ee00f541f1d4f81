"""optuna-dashboard over a study database: behind a login, read-only unless it is asked to write."""

DEFAULT_PORT = 8080
"""Of ``hpo dashboard``."""
