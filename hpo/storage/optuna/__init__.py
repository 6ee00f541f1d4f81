"""Optuna's side of the database."""
