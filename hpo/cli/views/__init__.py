"""What commands print: tables, live progress, event lines."""
