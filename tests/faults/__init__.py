"""Faults of the machine, injected into the system calls of keeper and worker with strace(1)."""
