"""Data sets: loading, splitting, preprocessing, augmentation."""
