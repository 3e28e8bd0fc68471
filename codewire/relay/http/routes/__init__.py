"""One module a family of endpoints; each ends in its ENDPOINTS. Handlers are (call, store)."""
