"""Finds node packs, isolates their failures and fills the registry."""
