"""Processes that claim slots and train them."""
