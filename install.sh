#!/usr/bin/env bash
# Install Codewire: one file, PREFIX/bin/cw, that runs on Python >= 3.10.
#
#   curl -fsSL .../install.sh | bash
#   curl -fsSL .../install.sh | bash -s -- --version v0.1.0 --prefix ~/.local
#
# The file's SHA-256 is checked always, the signature of the checksums where gpg is installed.
# Whatever is wrong, nothing is installed and nothing is left behind. Runs on bash 3.2.
set -euo pipefail

# scripts/release writes both into the copy that is published.
RELEASES=${CODEWIRE_RELEASES:-}
PUBLIC_KEY=''

PYTHONS="python3 python3.14 python3.13 python3.12 python3.11 python3.10"
FILE=cw.pyz
work=
draft=
made=

usage() {
    cat <<'TEXT'
Usage: install.sh [--version VERSION] [--prefix DIR]

  --version VERSION  Install this release, v0.1.0 say (default: the latest)
  --prefix DIR       Install DIR/bin/cw (default: /usr/local)

Environment:
  CODEWIRE_RELEASES  Where releases are: URL/latest/download/... and URL/download/VERSION/...
  CODEWIRE_GPG_KEY   A file with the public key that signs them, instead of the one inside
TEXT
}

say() { echo "install.sh: $1" >&2; }

fail() {
    say "$1; nothing was installed"
    exit 1
}

clean_up() {
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$draft" ] || rm -f "$draft"
    # Directories that were made for nothing; with something in them they stay.
    [ -z "$draft" ] || [ -z "$made" ] || rmdir "$made/bin" "$made" 2>/dev/null || true
}

# find_python: print the first Python that can run cw.
find_python() {
    local name
    for name in $PYTHONS; do
        if "$name" -c 'import sys, json, socket; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    fail "Python 3.10 or newer is needed, and none of these is: $PYTHONS (on Debian: apt-get install python3)"
}

# download URL FILE
download() {
    if command -v curl >/dev/null; then
        curl -fsSL --retry 2 --connect-timeout 20 -o "$2" "$1"
    elif command -v wget >/dev/null; then
        wget -q -T 60 -t 2 -O "$2" "$1"
    else
        fail "curl or wget is needed"
    fi
}

# sha256 FILE: print its checksum.
sha256() {
    if command -v sha256sum >/dev/null; then
        sha256sum "$1"
    elif command -v shasum >/dev/null; then
        shasum -a 256 "$1"
    else
        fail "sha256sum or shasum is needed to check what was downloaded"
    fi | cut -d ' ' -f 1
}

check_sum() {
    local wanted found
    # The name must be the whole name, with or without the * of binary mode.
    wanted=$(awk -v name="$FILE" '$2 == name || $2 == "*" name { print $1; exit }' "$work/SHA256SUMS")
    [ -n "$wanted" ] || fail "SHA256SUMS of this release does not name $FILE"
    found=$(sha256 "$work/$FILE")
    [ "$wanted" = "$found" ] || fail "the checksum of $FILE is wrong: SHA256SUMS says $wanted, it is $found"
}

check_signature() {
    local key=$work/key.asc
    if [ -n "${CODEWIRE_GPG_KEY:-}" ]; then
        cp "$CODEWIRE_GPG_KEY" "$key" || fail "the key $CODEWIRE_GPG_KEY cannot be read"
    else
        printf '%s\n' "$PUBLIC_KEY" >"$key"
    fi
    if ! grep -q 'BEGIN PGP PUBLIC KEY' "$key"; then
        say "the signature is not checked: this copy of install.sh has no key inside (checksums are)"
        return
    fi
    if ! command -v gpg >/dev/null; then
        say "the signature is not checked: gpg is not installed (checksums are)"
        return
    fi
    download "$1/SHA256SUMS.asc" "$work/SHA256SUMS.asc" || fail "this release has no signature (SHA256SUMS.asc)"
    # A keyring with that one key: a good signature is one of that key. Not imported: that asks
    # gpg's agent, whose socket has no room in a long TMPDIR.
    mkdir -m 700 "$work/gnupg"
    gpg --homedir "$work/gnupg" --no-autostart --batch --quiet --dearmor \
        <"$key" >"$work/keyring.gpg" 2>"$work/gpg.out" ||
        fail "the public key cannot be read ($(tail -n 1 "$work/gpg.out"))"
    gpg --homedir "$work/gnupg" --no-autostart --batch --quiet --trust-model always \
        --no-default-keyring --keyring "$work/keyring.gpg" \
        --verify "$work/SHA256SUMS.asc" "$work/SHA256SUMS" 2>"$work/gpg.out" ||
        fail "the signature of SHA256SUMS is wrong ($(tail -n 1 "$work/gpg.out"))"
    say "signature of SHA256SUMS: good"
}

# writable DIR: say whether DIR, or what there is above it, can be written.
writable() {
    local directory=$1
    while [ ! -e "$directory" ]; do
        directory=$(dirname "$directory")
    done
    [ -d "$directory" ] && [ -w "$directory" ]
}

main() {
    local version=latest prefix=/usr/local python base target have
    while [ "$#" -gt 0 ]; do
        case $1 in
            --version | --prefix)
                [ -n "${2:-}" ] || fail "$1 needs a value"
                if [ "$1" = --version ]; then version=$2; else prefix=$2; fi
                shift 2
                ;;
            --version=*) version=${1#*=} && shift ;;
            --prefix=*) prefix=${1#*=} && shift ;;
            -h | --help)
                usage
                return
                ;;
            *)
                usage >&2
                fail "unknown argument: $1"
                ;;
        esac
    done
    case $version in
        latest) ;;
        *[!A-Za-z0-9.+-]* | "") fail "no version: $version" ;;
        v*) ;;
        *) version=v$version ;;
    esac
    # As a shell would have read it without quotes.
    # shellcheck disable=SC2088
    case $prefix in "~") prefix=$HOME ;; "~/"*) prefix=$HOME/${prefix#"~/"} ;; esac
    case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
    [ -n "$RELEASES" ] || fail "this copy of install.sh does not know where releases are: set CODEWIRE_RELEASES"
    if [ "$version" = latest ]; then
        base=${RELEASES%/}/latest/download
    else
        base=${RELEASES%/}/download/$version
    fi
    target=$prefix/bin/cw
    writable "$prefix/bin" || fail "$prefix/bin cannot be written: use --prefix ~/.local, or run this as root"
    [ ! -d "$target" ] || fail "$target is a directory"
    python=$(find_python) || exit 1

    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    work=$(mktemp -d "${TMPDIR:-/tmp}/cw-install.XXXXXX")
    download "$base/SHA256SUMS" "$work/SHA256SUMS" || fail "$base/SHA256SUMS cannot be downloaded"
    check_signature "$base"
    download "$base/$FILE" "$work/$FILE" || fail "$base/$FILE cannot be downloaded"
    check_sum
    have=$("$python" "$work/$FILE" --version) || fail "$FILE does not run on $python"
    have=${have##* }
    [ "$version" = latest ] || [ "v$have" = "$version" ] ||
        fail "what is there as $version says that it is v$have"

    [ -d "$prefix/bin" ] || made=$prefix
    draft=$prefix/bin/.cw.$$
    mkdir -p "$prefix/bin" || fail "$prefix/bin cannot be made"
    # The first line names the Python that was found; what follows is the archive.
    { printf '#!/usr/bin/env %s\n' "$python" && tail -n +2 "$work/$FILE"; } >"$draft" ||
        fail "$prefix/bin cannot be written"
    chmod 755 "$draft"
    mv -f "$draft" "$target" || fail "$target cannot be replaced"
    draft=
    say "cw $have is installed: $target"
    after "$target" "$prefix/bin"
}

# after TARGET DIRECTORY: say what is left to do.
after() {
    local found
    found=$(command -v cw || true)
    case :$PATH: in
        *":$2:"*) [ "$found" -ef "$1" ] || say "another cw comes first in PATH: $found" ;;
        *) say "$2 is not in PATH: add it, or call $1" ;;
    esac
    say "a node that runs goes on with what it was started from: cw node restart"
}

# The last line, so that a script that was cut on its way does nothing.
main "$@"
