"""Support for tests: the `hpo` command, databases, processes that are killed, drawn data."""
