"""What commands print, one module a page: tables, live progress, event lines."""
