"""Studies as files: exported from one database, imported into another."""
