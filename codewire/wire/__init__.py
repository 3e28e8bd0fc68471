"""The wire format, pure: bytes in, messages out. See spec/wire.md."""
