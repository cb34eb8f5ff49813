"""Plans and runs a typed graph: frontier, steps, result cache, events, cancellation."""
