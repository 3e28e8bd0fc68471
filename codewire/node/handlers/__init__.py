"""One module a request family: what a client asks, and the answers."""
