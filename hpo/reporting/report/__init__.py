"""A study as a page worth sending: what is said, what is drawn, how it looks (templates)."""
