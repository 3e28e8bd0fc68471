"""Logins, networks, groups and access grants: what a relay knows (spec/relay.md 9)."""
