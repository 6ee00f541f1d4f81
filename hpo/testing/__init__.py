"""Support for tests: fault injection."""
