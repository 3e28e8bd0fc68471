"""Files of ours: atomic replacement and journals. Knows no contents."""
