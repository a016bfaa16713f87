"""Films as a network learns from them: manifest, split, decoded pixels, augmentation."""
