"""The results database: tables, writes, reads."""
