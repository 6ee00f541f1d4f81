"""Findings about a study as a whole, from the results of its trials."""
