"""Checks that read numbers and return findings, and the verdict they add up to."""
