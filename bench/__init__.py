"""Measurements of this machine: each module has `measure()`, which gives lines of text. See `main.py bench`."""
