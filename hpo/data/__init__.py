"""Images: data sets, splits, preprocessing, augmentation."""
