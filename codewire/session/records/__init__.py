"""What is written down of sessions: records, their journal and archive."""
