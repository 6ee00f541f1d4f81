"""Networks and their parts; imports nothing from the rest of hpo."""
