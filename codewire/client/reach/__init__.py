"""How a client gets to a node: which one is meant, where it is, and a connection to it."""
