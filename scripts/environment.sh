# Sourced by check and test: leaves $python set to an interpreter with the test extra installed.
#
# That is the active virtual environment's, else that of $CW_VENV (.venv unless set), which is made
# with $PYTHON (python3 unless set) when it is missing. Installed anew when a source has changed.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

fail() {
    echo "$(basename "$0"): $1" >&2
    exit 1
}

make_venv() {
    local base=${PYTHON:-python3}
    command -v "$base" >/dev/null || fail "$base not found: install Python 3.10 or newer"
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$("$base" --version) is too old: Python 3.10 or newer is needed (set PYTHON=...)"
    "$base" -c 'import ensurepip' 2>/dev/null ||
        fail "$base cannot make virtual environments (on Debian: apt-get install python3-venv)"
    "$base" -m venv "$1"
}

if [ -n "${CW_VENV:-}" ] || [ -z "${VIRTUAL_ENV:-}" ]; then
    venv=${CW_VENV:-$root/.venv}
    [ -x "$venv/bin/python" ] || make_venv "$venv"
else
    venv=$VIRTUAL_ENV
fi
python=$venv/bin/python
# The tools' own subprocesses (and people reading along) find the environment's programs first.
export PATH="$venv/bin:$PATH"

# Without cached bytecode each of the thousands of processes that the tests start would compile all
# it imports, and pytest would rewrite every test file in every worker.
unset PYTHONDONTWRITEBYTECODE

stamp=$venv/.codewire-installed
if [ ! -e "$stamp" ] || [ -n "$(find cw.py setup.cfg setup.py codewire -type f -newer "$stamp" \
    -not -name '*.pyc' -print -quit)" ]; then
    echo "$(basename "$0"): installing codewire and its test extra into $venv" >&2
    "$python" -m pip install --quiet --disable-pip-version-check --use-pep517 '.[test]' ||
        fail "pip could not install the test extra"
    touch "$stamp"
fi
