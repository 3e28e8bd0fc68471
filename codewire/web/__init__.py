"""An HTTP/1.1 server on a listener from outside. Knows sockets and requests, but no node."""
