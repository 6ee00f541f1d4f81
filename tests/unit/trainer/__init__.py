"""Tests of the process in which the user's own training runs."""
