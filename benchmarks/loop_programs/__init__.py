"""Training loops of all sorts, sound and faulty, that `benchmarks/loops.py` lets the babysitter watch."""
