"""Weights with a place: handles, leases and budgets."""
