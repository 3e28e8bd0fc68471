"""Containers on this machine that sessions run in: docker (and podman) and incus.

Engines are driven through their own command-line clients, as a user would. Knows no command line
of ours and prints nothing; called by commands/ and mcp/. Facts: spec/runtimes.md 1 to 6.
"""
