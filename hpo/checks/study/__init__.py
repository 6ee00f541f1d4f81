"""Findings about a study as a whole, from its trials' results: pure, without torch or a database."""
