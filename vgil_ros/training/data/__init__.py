"""The data set that training reads: scan, statistics, image cache, sampling, augmentation."""
