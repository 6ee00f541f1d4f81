"""Bundled studies, each runnable as it is."""
