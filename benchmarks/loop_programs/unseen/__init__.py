"""Programs held out: nothing is changed for these, and only their totals are looked at."""
