"""One study as a file: out of one database and into another, with nothing lost (docs/operations.md)."""
