"""Photos: read, listed, split, cached, augmented, corrupted."""
