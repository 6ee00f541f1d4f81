"""Samplers: pure draws, and those that learn from earlier trials."""
