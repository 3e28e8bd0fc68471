"""All checks, in the order in which findings of the same weight are shown."""

from __future__ import annotations

from codewire.commands.system.doctor.directory import data_dir, owners, pid_file
from codewire.commands.system.doctor.machine import (
    completion,
    limits,
    linger,
    python,
    terminal,
)
from codewire.commands.system.doctor.node import node
from codewire.commands.system.doctor.settings import config, listen

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
