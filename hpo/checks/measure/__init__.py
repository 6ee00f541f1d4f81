"""Measurements that the rules read: probes, preflight, statistics of layers."""
