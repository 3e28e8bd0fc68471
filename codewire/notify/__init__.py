"""Notifications: a process beside the worker tells people when a session needs them.

A client of the node like others. It imports nothing beyond the standard library.
"""
