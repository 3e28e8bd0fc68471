#!/bin/sh
# Run as root while a dev container's image is built. A cw.pyz beside this file is taken; else the
# release that the option names is installed.
set -eu

here=$(dirname "$0")
if ! command -v python3 >/dev/null || ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    if ! command -v apt-get >/dev/null; then
        echo "codewire: Python 3.10 or newer is needed: add the python feature" >&2
        exit 1
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3
fi

if [ -f "$here/cw.pyz" ]; then
    install -m 755 "$here/cw.pyz" /usr/local/bin/cw
else
    script=$(mktemp)
    curl -fsSL --retry 3 -o "$script" "${CW_INSTALLER:-https://codewire.dev/install.sh}"
    bash "$script" --version "${VERSION:-latest}"
    rm -f "$script"
fi
cw --version
