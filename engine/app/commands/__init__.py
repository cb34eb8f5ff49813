"""One module per command; each has `run(options, settings) -> int` and imports torch only if it must."""
