"""The relay: nodes that cannot be dialled dial it, and clients find them there."""
