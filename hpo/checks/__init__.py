"""Checks of a training: they read numbers and return findings."""
