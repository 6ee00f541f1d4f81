"""Which configuration a slot gets."""
