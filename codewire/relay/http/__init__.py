"""The HTTP API: a table of endpoints, who asks, what was sent, what is answered. No sockets."""
