"""The database checked, repaired, backed up, pruned, moved."""
