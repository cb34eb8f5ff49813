"""Trains the demo model: procedural scenes with captions, and everything that learns from them."""
