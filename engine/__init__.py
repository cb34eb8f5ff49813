"""Easel's engine: floors from `foundation` (stdlib only) up to `app` (the composition root)."""
