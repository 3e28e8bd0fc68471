#!/usr/bin/env bash
# A relay in a kind cluster, two nodes beside it, three sessions on them: enrollment, credentials,
# delegated msg, targeted listen, request, and who may reply.
#
#   scripts/run-relay-kind-e2e.sh            needs docker, kind, kubectl, helm
#   scripts/run-relay-kind-e2e.sh --local    the same steps; the relay is a process of this machine
#
# Environment:
#   CLUSTER_NAME  the kind cluster (codewire-e2e); one that exists is used and left as it was
#   RELAY_PORT    the relay's port here (18080)
#   RELAY_TOKEN   the admin's token (a random one)
#
# Exit code: 0 everything passed, 1 a step failed, 3 what could be tried passed, the rest is named.
set -euo pipefail
# shellcheck source=scripts/environment.sh
. "$(dirname "$0")/environment.sh"

cluster=${CLUSTER_NAME:-codewire-e2e}
port=${RELAY_PORT:-18080}
token=${RELAY_TOKEN:-$(od -An -v -tx1 -N16 /dev/urandom | tr -d ' \n')}
relay=http://127.0.0.1:$port
network=e2e
image=codewire-relay-e2e:local
local_only=
case ${1:-} in
    "") ;;
    --local) local_only=yes ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0" && exit ;;
    *) fail "unknown argument $1 (there is only --local)" ;;
esac

umask 077
# Short: a socket's path is limited to about 108 bytes.
work=$(mktemp -d /tmp/cwe-XXXXXX)
processes=()
made_cluster=
connected_early=
untried=()

say() { echo "e2e: $1" >&2; }
ok() { say "ok: $1"; }
# not_tried WHAT: something that this version or this machine cannot do, named at the end again.
not_tried() {
    say "NOT TRIED: $1"
    untried+=("$1")
}

clean_up() {
    local name process
    for name in dev-1 dev-2; do
        [ ! -d "$work/$name" ] || on "$name" stop >/dev/null 2>&1 || true
    done
    for process in "${processes[@]}"; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    if [ -n "$made_cluster" ]; then
        kind delete cluster --name "$cluster" >/dev/null 2>&1 || say "the cluster $cluster is still there"
    elif [ -z "$local_only" ] && command -v helm >/dev/null; then
        helm uninstall --kube-context "kind-$cluster" codewire-e2e >/dev/null 2>&1 || true
    fi
    rm -rf "$work"
}

# on NODE ARGUMENT...: cw as the user whose node that is.
on() {
    local name=$1
    shift
    env -u CW_SESSION_ID -u CODEWIRE_TOKEN -u CODEWIRE_LISTEN -u CODEWIRE_NODE_NAME \
        HOME="$work/$name" "$python" -m codewire "$@"
}

# call WHO METHOD PATH [JSON]: ask the relay with a token; prints the status and the body. The token
# and the body are in files, so that no process list shows them.
call() {
    printf 'header = "Authorization: Bearer %s"\n' "$1" >"$work/curl"
    printf '%s' "${4:-}" >"$work/body"
    curl -sS --max-time 20 -K "$work/curl" -X "$2" --data-binary "@$work/body" \
        -w '\n%{http_code}' "$relay$3" >"$work/answer" || fail "$2 $3: the relay does not answer"
    tail -n 1 "$work/answer" >"$work/status"
    sed '$d' "$work/answer"
}

# wanted STATUS WHAT: fail unless the last call was answered so.
wanted() {
    [ "$(cat "$work/status")" = "$1" ] || fail "$2: wanted $1, got $(cat "$work/status"): $(sed '$d' "$work/answer")"
    ok "$2"
}

# field NAME: print that field of the JSON object on stdin.
field() { "$python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# until_true SECONDS COMMAND...: wait for a command to succeed.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}

answers() { curl -fsS --max-time 2 "$relay/readyz"; }

start_here() {
    mkdir "$work/relay"
    printf '%s' "$token" >"$work/token"
    HOME=$work/relay "$python" -m codewire relay serve --base-url "$relay" --listen "127.0.0.1:$port" \
        --data-dir "$work/relay/data" --auth-mode token --auth-token-file "$work/token" \
        2>"$work/relay.log" &
    processes+=("$!")
}

start_in_kind() {
    local tool
    for tool in docker kind kubectl helm; do
        command -v "$tool" >/dev/null || fail "$tool is needed (or: --local, the same steps without a cluster)"
    done
    if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
        say "making the cluster $cluster"
        made_cluster=yes
        kind create cluster --name "$cluster" --wait 120s
    fi
    docker build --quiet --build-arg EXTRAS=relay,postgres -t "$image" "$root" >/dev/null
    kind load docker-image --name "$cluster" "$image"
    cat >"$work/values.yaml" <<VALUES
image: {repository: ${image%:*}, tag: ${image##*:}, pullPolicy: Never}
relay: {baseURL: "$relay", token: "$token"}
persistence: {enabled: false}
fullnameOverride: codewire-e2e
VALUES
    helm upgrade --install --kube-context "kind-$cluster" codewire-e2e "$root/deploy/charts/codewire-relay" \
        --values "$work/values.yaml" --wait --timeout 180s >/dev/null
    helm test --kube-context "kind-$cluster" codewire-e2e >/dev/null || fail "helm test"
    ok "helm test"
    kubectl --context "kind-$cluster" port-forward service/codewire-e2e-http "$port:8080" \
        >"$work/relay.log" 2>&1 &
    processes+=("$!")
}

# enroll NAME: make NAME a node of the network; its home gets what a node needs to know.
enroll() {
    local enrollment node_token
    enrollment=$(call "$token" POST /api/v1/node-enrollments "{\"network_id\":\"$network\",\"node_name\":\"$1\"}" |
        field enrollment_token)
    node_token=$(call "" POST /api/v1/node-enrollments/redeem "{\"enrollment_token\":\"$enrollment\"}" |
        field node_token)
    wanted 200 "$1 is enrolled"
    call "" POST /api/v1/node-enrollments/redeem "{\"enrollment_token\":\"$enrollment\"}" >/dev/null
    wanted 403 "its enrollment token is good once"
    mkdir -p "$work/$1/.codewire"
    cat >"$work/$1/.codewire/config.toml" <<CONFIG
relay_url = "$relay"
relay_node_token = "$node_token"
relay_node_network = "$network"
relay_selected_network = "$network"
relay_session = "$token"
[node]
name = "$1"
CONFIG
    call "$node_token" POST /api/v1/network-auth/runtime/node '{}' >"$work/$1/credential"
    wanted 200 "$1 gets a credential"
}

networks_and_nodes() {
    call wrong GET /api/v1/networks >/dev/null
    wanted 401 "a wrong token is refused"
    call "$token" POST /api/v1/networks "{\"network_id\":\"$network\"}" >/dev/null
    wanted 200 "the network is made"
    enroll dev-1
    enroll dev-2
    call "$token" GET "/api/v1/nodes?network_id=$network" >"$work/nodes"
    [ "$("$python" -c 'import json, sys; print(*[n["name"] for n in json.load(sys.stdin)])' <"$work/nodes")" = "dev-1 dev-2" ] ||
        fail "the relay lists other nodes: $(cat "$work/nodes")"
    ok "both nodes are listed"
    connected_early=$(grep -o '"connected":true' "$work/nodes" | head -n 1 || true)
}

sessions() {
    on dev-1 launch planner -- cat >/dev/null
    on dev-2 launch coder -- cat >/dev/null
    on dev-2 launch reviewer -- cat >/dev/null
    ok "three sessions on two nodes"
}

# request_of NODE SESSION: print the id of the open request in its inbox; fails while there is none.
request_of() { on "$1" inbox "$2" | grep 'OPEN REQUEST' | grep -o 'req_[A-Za-z0-9_-]*' | head -n 1 | grep .; }

# answer_as_owner REQUEST: another session of dev-2 may not answer for the coder, the coder may.
answer_as_owner() {
    if on dev-2 reply "$1" stolen -f reviewer >"$work/stolen" 2>&1; then
        fail "the reviewer replied to the coder's request"
    fi
    grep -q 'may only be replied to' "$work/stolen" || fail "refused for another reason: $(cat "$work/stolen")"
    ok "only the owner replies: $(tail -n 1 "$work/stolen")"
    on dev-2 reply "$1" "yes, PR 42" -f coder >/dev/null 2>&1 || fail "the coder cannot reply"
}

# ask NODE FROM TARGET: a request, and the owner's answer to it.
ask() {
    local asking
    on "$1" request -f "$2" "$3" "ready for review?" --timeout 30 >"$work/reply" 2>"$work/asking" &
    asking=$!
    until_true 15 request_of dev-2 coder || fail "the request does not arrive: $(cat "$work/asking")"
    answer_as_owner "$(request_of dev-2 coder)"
    wait "$asking" || fail "the request failed: $(cat "$work/asking")"
    grep -q 'yes, PR 42' "$work/reply" || fail "the reply is another: $(cat "$work/reply")"
    ok "$2 gets the coder's reply ($3)"
}

are_connected() {
    call "$token" GET "/api/v1/nodes?network_id=$network" >"$work/nodes"
    [ "$(grep -o '"connected":true' "$work/nodes" | wc -l)" = 2 ]
}

# grants: let the admin read a session of dev-2, and no longer.
grants() {
    local id
    id=$(call "$token" POST /api/v1/access-grants \
        "{\"network_id\":\"$network\",\"target_node\":\"dev-2\",\"session_name\":\"coder\",\"audience\":\"admin\"}" |
        field grant_id)
    wanted 200 "a grant is signed"
    call "$token" DELETE "/api/v1/access-grants/$id?network_id=$network" >/dev/null
    wanted 200 "and revoked"
}

# Over the network.
between_nodes() {
    if [ -n "$connected_early" ]; then
        not_tried "that both nodes are connected: the relay said so before they were started"
    elif until_true 15 are_connected; then
        ok "both nodes are connected"
    else
        fail "the nodes do not connect to the relay"
    fi
    delegated_msg
    accept_grant
    targeted_listen
    ask dev-1 planner dev-2:coder
}

delegated_msg() {
    on dev-1 msg -f planner dev-2:coder "start with auth" >"$work/msg" 2>&1 ||
        fail "msg to dev-2:coder: $(cat "$work/msg")"
    until_true 10 grep_inbox 'dev-1:planner → .*start with auth' || fail "the message does not arrive"
    ok "delegated msg"
}

# accept_grant: without one dev-1 reads nothing of dev-2; with it the same commands do.
accept_grant() {
    if on dev-1 inbox dev-2:coder >"$work/inbox" 2>&1; then fail "the inbox is read without a grant"; fi
    grep -q 'grant' "$work/inbox" || fail "refused for another reason: $(cat "$work/inbox")"
    on dev-2 access grant dev-2:coder --to admin --json >"$work/grant" || fail "access grant"
    on dev-1 access accept "$(field delegation <"$work/grant")" >/dev/null || fail "access accept"
    on dev-1 inbox dev-2:coder >"$work/inbox" || fail "inbox dev-2:coder"
    grep -q 'start with auth' "$work/inbox" || fail "another inbox: $(cat "$work/inbox")"
    ok "inbox by a grant"
}

listens() { grep -q listening "$work/listening" || ! kill -0 "$1" 2>/dev/null; }

targeted_listen() {
    local listening
    on dev-1 listen --session dev-2:coder >"$work/heard" 2>"$work/listening" &
    listening=$!
    processes+=("$listening")
    until_true 20 listens "$listening" || fail "listen does not begin: $(cat "$work/listening")"
    on dev-2 msg -f reviewer coder "heard?" >/dev/null
    until_true 10 grep -q 'heard?' "$work/heard" || fail "listen hears nothing: $(cat "$work/listening")"
    ok "targeted listen"
}

grep_inbox() { on dev-2 inbox coder | grep -q "$1"; }

trap clean_up EXIT
if [ -n "$local_only" ]; then start_here; else start_in_kind; fi
until_true 60 answers || fail "the relay does not answer: $(tail -n 3 "$work/relay.log")"
ok "the relay answers at $relay"
networks_and_nodes
sessions
grants
ask dev-2 reviewer coder
between_nodes

if grep -qF "$token" "$work/relay.log"; then fail "the relay's log has the token in it"; fi
if [ "${#untried[@]}" -gt 0 ]; then
    say "what was tried passed; not tried:"
    printf 'e2e:   %s\n' "${untried[@]}" >&2
    exit 3
fi
say "all passed"
