"""Findings about a study, from the results of its trials."""
