"""Mail between sessions: messages, requests, replies, and how they reach a terminal."""
