"""The worker's side of the keeper: its orders, what it hears, and a new keeper when that dies."""
