"""Descriptors: waiting, PTYs, Unix sockets, frame streams. The only blocking calls are here."""
