"""Programs held out since 2026-12-01: nothing is changed for these, and only their totals are looked at."""
