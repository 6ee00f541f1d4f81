"""Slots and leases: which worker trains which trial."""
