"""Training programs with and without faults, for benchmarks/diagnosis.py."""
