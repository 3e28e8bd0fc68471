"""Asking a relay: its HTTP API as a client. Knows no command line, no node."""
