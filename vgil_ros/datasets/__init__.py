"""Data sets in other layouts: LeRobotDataset v2.1 and v3.0, zarr; conversion between all of them, and its proof."""
