"""The local node as a process: who it is, whether it serves, why not, and how it is ended."""
