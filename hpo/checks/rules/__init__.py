"""The rules: each module is one check, a pure function of observations."""
