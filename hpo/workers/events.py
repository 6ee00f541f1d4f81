"""Moved: import from ``hpo.events`` (trial.py, a lower room, uses it). This file is deleted soon."""

from hpo.events import *  # noqa: F403
