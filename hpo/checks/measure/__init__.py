"""Measurements that the rules read: hooks, probes, preflight, layer statistics."""
