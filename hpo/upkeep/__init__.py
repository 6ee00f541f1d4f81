"""Upkeep: a database checked and repaired, backed up, and what is no longer needed removed."""
