"""Findings about a study as a whole, from its trials' results."""
