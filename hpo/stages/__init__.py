"""Stages of a study: how the next one begins, what it draws, and how it is confirmed."""
