"""Is this machine fit for studies? ``examinations.py`` lists what is looked at; each is a small function."""
