"""Training examples as they are after augmentation, for people to look at."""
