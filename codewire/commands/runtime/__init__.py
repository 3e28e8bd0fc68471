"""Commands about where things run: local runtimes, the current target, a project's preset."""
