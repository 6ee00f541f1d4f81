"""Recorded learning curves, and search strategies that are replayed on them."""
