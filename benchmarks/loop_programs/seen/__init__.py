"""Programs on which checks may be chosen: what was held out until 2026-11-30 is among these."""
