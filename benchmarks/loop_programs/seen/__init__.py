"""Programs on which checks may be chosen: what was held out until 2026-12-01 is among these."""
