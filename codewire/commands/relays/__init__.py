"""`cw relay …`: the relay as a process, and its data."""
