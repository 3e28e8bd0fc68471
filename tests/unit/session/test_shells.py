"""Which command lines are a shell that reads its terminal."""

from __future__ import annotations

import pytest

from codewire.mail.foreground import shell_name


@pytest.mark.parametrize(
    ("line", "program", "name"),
    [
        ("bash", "/usr/bin/bash", "bash"),
        ("-bash", "/usr/bin/bash", "bash"),
        ("/bin/sh", "/usr/bin/dash", "sh"),
        ("bash -i", "", "bash"),
        ("bash -l --norc -o vi", "", "bash"),
        ("bash --rcfile /dev/null", "", "bash"),
        ("bash --rcfile rc script.sh", "", ""),
        ("zsh -f", "", "zsh"),
        ("fish --no-config -C true", "", "fish"),
        ("sh -s argument", "", "sh"),
        ("sh -", "", "sh"),
        ("sh -- script", "", ""),
        ("bash script.sh -i", "", ""),
        ("bash -c true", "", ""),
        ("bash -lc true", "", ""),
        ("fish --command=true", "", ""),
        ("busybox sh", "/bin/busybox", "sh"),
        ("busybox ash -c true", "", ""),
        ("busybox top", "", ""),
        ("busybox", "", ""),
        ("pwsh -NoProfile", "", "pwsh"),
        ("my-shell", "/usr/bin/zsh", "zsh"),
        ("ssh host", "", "ssh"),
        ("tmux: client", "/usr/bin/tmux", "tmux"),
        ("tmux attach", "/usr/bin/tmux", "tmux"),
        ("sudo -i", "", "sudo"),
        ("sudo -u me bash", "", "sudo"),
        ("sudo make", "", ""),
        ("docker exec -it box sh", "", "docker"),
        ("docker logs -f box", "", ""),
        ("python3", "/usr/bin/python3.11", ""),
        ("claude", "/usr/bin/node", ""),
        ("cat bash", "", ""),
        ("./bash-tool", "", ""),
    ],
)
def test_shells(line: str, program: str, name: str) -> None:
    argv = ["tmux: client"] if line == "tmux: client" else line.split()
    assert shell_name(argv, program) == name
