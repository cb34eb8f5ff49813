"""Towers that see pictures."""
