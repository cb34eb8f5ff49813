"""Built-in nodes, one file per family."""
