"""Custody of session processes: the keeper (process.py) and the worker's side of it (custody.py).

Knows nothing of clients or logs. The keeper outlives workers, so what it does is little.
"""
