"""The community's dialects: prompt JSON and workflow JSON."""
