"""Documents, graphs, node specs, binding, diagnostics and content keys. No torch."""
