"""A relay as its clients see it: every call of its HTTP API, its events, and what is configured.

Used by commands, nodes and MCP tools; knows no command line. Standard library only.
"""
