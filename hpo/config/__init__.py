"""Configurations, search spaces and study files."""
