"""The author API: the node decorator, widgets, the context and the registry."""
