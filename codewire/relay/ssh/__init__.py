"""SSH into nodes through the relay: who may log in, the host key, how wrong passwords wait."""
