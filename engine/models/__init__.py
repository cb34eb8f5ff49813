"""Nets, architecture detection, key maps, text encoders and checkpoint files."""
