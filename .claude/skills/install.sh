#!/usr/bin/env bash
# Install the skills codewire and codewire-dev for Claude Code: into ~/.claude/skills, or, with
# --project, into .claude/skills of a project.
#
#   .claude/skills/install.sh [--project DIR]
#   curl -fsSL SOURCE/.claude/skills/install.sh | CODEWIRE_SOURCE=SOURCE bash
set -euo pipefail

SKILLS="codewire codewire-dev"
draft=

fail() {
    echo "install.sh: $1; nothing was installed" >&2
    exit 1
}

clean_up() { [ -z "$draft" ] || rm -rf "$draft"; }

# fetch SKILL FILE: its text from beside this script, else from CODEWIRE_SOURCE.
fetch() {
    local here
    here=$(cd "$(dirname "${BASH_SOURCE[0]:-/nowhere/x}")" 2>/dev/null && pwd) || here=/nowhere
    if [ -f "$here/$1/SKILL.md" ]; then
        cp "$here/$1/SKILL.md" "$2" || fail "$2 cannot be written"
    elif [ -n "${CODEWIRE_SOURCE:-}" ]; then
        curl -fsSL -o "$2" "${CODEWIRE_SOURCE%/}/.claude/skills/$1/SKILL.md" ||
            fail "the skill $1 cannot be downloaded from $CODEWIRE_SOURCE"
    else
        fail "run it in a clone, or set CODEWIRE_SOURCE to where its files can be downloaded"
    fi
    [ "$(head -n 1 "$2")" = "---" ] || fail "what is there as the skill $1 is none"
}

main() {
    local target=${HOME:?}/.claude/skills skill
    if [ "${1:-}" = --project ]; then
        [ -d "${2:-}" ] || fail "--project needs a directory"
        target=$(cd "$2" && pwd)/.claude/skills
    elif [ "$#" -gt 0 ]; then
        fail "usage: install.sh [--project DIR]"
    fi
    mkdir -p "$target" || fail "$target cannot be made"
    trap clean_up EXIT
    draft=$(mktemp -d "$target/.codewire.XXXXXX")
    # All of them, or none.
    for skill in $SKILLS; do
        fetch "$skill" "$draft/$skill.md"
    done
    for skill in $SKILLS; do
        mkdir -p "$target/$skill"
        chmod 644 "$draft/$skill.md"
        mv -f "$draft/$skill.md" "$target/$skill/SKILL.md" || fail "$target/$skill cannot be written"
        echo "install.sh: $target/$skill/SKILL.md" >&2
    done
}

main "$@"
