# Sourced by test-image and test-deploy, after environment.sh: a Docker Engine, and images to build on
# that come from no registry. Uses $work (a short path: the engine's socket is in it), $base and
# $builder; sets $engine to the process that end_engine ends.
# shellcheck shell=bash disable=SC2154

engine=

say() { echo "$(basename "$0"): $1" >&2; }

end_engine() {
    if [ -n "$engine" ]; then
        kill "$engine" 2>/dev/null || true
        wait "$engine" 2>/dev/null || true
    fi
}

install_tools() {
    local missing=()
    command -v docker >/dev/null && docker info >/dev/null 2>&1 || command -v dockerd >/dev/null ||
        missing+=(docker.io)
    [ -n "${BASE:-}" ] || command -v debootstrap >/dev/null || missing+=(debootstrap)
    [ "${#missing[@]}" = 0 ] && return
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

start_engine() {
    docker info >/dev/null 2>&1 && return
    say "starting a Docker Engine in $work"
    export DOCKER_HOST=unix://$work/docker.sock
    # No bridge and no iptables: the test needs no network, and sandboxes often have neither.
    dockerd --host "$DOCKER_HOST" --data-root "$work/data" --exec-root "$work/exec" \
        --pidfile "$work/pid" --bridge none --iptables=false --ip6tables=false \
        >"$work/dockerd.log" 2>&1 &
    engine=$!
    for _ in $(seq 300); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.1
    done
    tail -20 "$work/dockerd.log" >&2
    fail "the Docker Engine did not start"
}

# make_base REQUIREMENT...: $base has a Python, $builder what builds as well, and these as wheels.
make_base() {
    local suite version
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
    say "making a base image of $suite"
    debootstrap --variant=minbase --include=python3 "$suite" "$work/root" \
        >"$work/debootstrap.log" 2>&1 || { tail -20 "$work/debootstrap.log" >&2; fail "debootstrap failed"; }
    tar -C "$work/root" -c . | docker import - "$base" >/dev/null
    DEBIAN_FRONTEND=noninteractive chroot "$work/root" apt-get install -y -qq --no-install-recommends \
        python3-venv >"$work/debootstrap.log" 2>&1 ||
        { tail -20 "$work/debootstrap.log" >&2; fail "python3-venv cannot be installed"; }
    version=$(chroot "$work/root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    mkdir "$work/root/wheels"
    # One of the fleet's has no wheel, but is pure Python: built here, good for any version.
    "$python" -m pip wheel --quiet --no-deps --wheel-dir "$work/sdists" nkeys
    "$python" -m pip download --quiet --only-binary :all: --python-version "$version" \
        --find-links "$work/sdists" --dest "$work/root/wheels" "$@"
    printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$work/root/etc/pip.conf"
    tar -C "$work/root" -c . | docker import - "$builder" >/dev/null
    rm -rf "$work/root"
}
