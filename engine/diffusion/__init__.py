"""Parameterisations, schedules, samplers, guidance and conditioning."""
