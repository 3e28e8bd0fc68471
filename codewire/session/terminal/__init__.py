"""A session's terminal: what it shows, who looks, who answers it, what is typed into it."""
