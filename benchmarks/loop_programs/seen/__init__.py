"""Programs on which checks may be chosen."""
