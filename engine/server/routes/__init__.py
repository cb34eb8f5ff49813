"""The routes, one module a family; each gives `ROUTES`, a table of method, path and handler."""
