"""Benchmarks against dtach and tmux; `bench/run` is the program."""
