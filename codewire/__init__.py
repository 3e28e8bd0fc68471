"""Codewire: a persistent process server for AI coding agents. The version lives here only."""

__version__ = "0.1.0"
