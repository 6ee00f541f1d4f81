"""Workers as actors on a Ray cluster; `cluster.py` alone imports Ray."""
