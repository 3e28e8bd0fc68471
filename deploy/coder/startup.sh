#!/usr/bin/env bash
# cw in a Coder workspace: installed into ~/.local/bin, where the home volume keeps it, and started.
# For the template's coder_agent startup_script, or for main.tf beside this file. An image that has cw
# already is faster (docs/images.md); then only the node is started.
set -euo pipefail

version=${CW_VERSION:-latest}
installer=${CW_INSTALLER:-https://codewire.dev/install.sh}
export PATH=$HOME/.local/bin:$PATH

if ! command -v cw >/dev/null; then
    # In a file first: a download that breaks off runs nothing.
    script=$(mktemp)
    trap 'rm -f "$script"' EXIT
    curl -fsSL --retry 3 -o "$script" "$installer"
    bash "$script" --version "$version" --prefix "$HOME/.local"
fi

# Here and not by the first command: a node that the workspace's startup starts has its environment.
cw start
