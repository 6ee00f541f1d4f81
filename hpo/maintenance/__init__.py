"""Maintenance of the database: check, repair, backup, prune, delete, export and import."""
