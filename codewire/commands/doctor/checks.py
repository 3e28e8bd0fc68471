"""All checks, in the order in which findings of the same weight are shown."""

from __future__ import annotations

from codewire.commands.doctor.directory import data_dir, owners, pid_file
from codewire.commands.doctor.machine import completion, limits, linger, python, terminal
from codewire.commands.doctor.node import node
from codewire.commands.doctor.settings import config, listen

CHECKS = (
    python,
    node,
    data_dir,
    owners,
    pid_file,
    config,
    listen,
    terminal,
    linger,
    limits,
    completion,
)
