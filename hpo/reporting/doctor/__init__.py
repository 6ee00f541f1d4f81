"""``hpo doctor``: is this machine ready to run studies? ``run.py`` lists the checks; each is a function."""
