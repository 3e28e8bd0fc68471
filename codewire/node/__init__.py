"""The worker: listeners, one handler module a request family. Knows nothing of the command line."""
