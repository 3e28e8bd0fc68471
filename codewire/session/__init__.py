"""Sessions: their logs and cursors, lifecycle, registry, events. Knows no frames and no sockets."""
