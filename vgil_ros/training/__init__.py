"""Dataset, augmentation, trainer, evaluation."""
