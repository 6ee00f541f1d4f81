"""Trained networks on disk: best weights, exported bundles and their cards."""
