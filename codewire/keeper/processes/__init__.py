"""The keeper's records of sessions' processes: how they are started, watched and reaped."""
