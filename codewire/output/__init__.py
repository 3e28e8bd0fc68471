"""What PTYs print: log, cursors, drain. Knows bytes and descriptors, but no session."""
