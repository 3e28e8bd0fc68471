"""`cw attach`: the user's terminal, the link to a session, and the bar."""
