"""Search: samplers and pruners."""
