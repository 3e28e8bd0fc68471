"""Logging in with a browser: sessions, GitHub, an OpenID provider (spec/relay.md 4, 5)."""
