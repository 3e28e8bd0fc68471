"""What a node answers, as values with named fields: what Client returns, and --json prints.

Each has `sent`, the whole of what the node said: a newer one may say more than this program knows.
Named tuples, because a client's start has no time for dataclasses (they import inspect); and a file
a family, because each command needs one of them.
"""
