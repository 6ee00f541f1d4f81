"""Alembic migrations under their own version table."""
