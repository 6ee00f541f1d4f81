"""One trial: begin, train, finish."""
