"""What a session prints, on its way: PTY, log, readers, counts."""
