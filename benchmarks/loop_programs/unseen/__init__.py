"""Programs held out since 2026-11-30: nothing is changed for these, and only their totals are looked at."""
