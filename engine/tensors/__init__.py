"""Values that travel between nodes: layouts, devices, dtypes, noise and resampling."""
