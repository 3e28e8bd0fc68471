"""What a keeper holds and where it is found: descriptors, socket, pid file, locks; who waits."""
