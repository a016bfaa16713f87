"""Read films for training: manifest, split, decoded pixels, augmentation, drawn films."""
