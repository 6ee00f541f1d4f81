"""Recorded learning curves, and strategies of search that are replayed on them."""
