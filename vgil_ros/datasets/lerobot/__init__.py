"""LeRobotDataset v2.0, v2.1 and v3.0: tables in parquet, images in them or in videos, and what is said of both."""
