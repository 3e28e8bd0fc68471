"""The fleet: nodes on many machines that find and drive each other over NATS (spec/fleet.md).

NATS carries control, a JSON object a message; terminal bytes go over a node's WebSocket. The bridge
of a node is a process of its own, an ordinary client of the node's socket. nats-py (extra `fleet`)
is imported on use.
"""
