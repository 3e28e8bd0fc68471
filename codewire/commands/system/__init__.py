"""Commands about cw itself."""
