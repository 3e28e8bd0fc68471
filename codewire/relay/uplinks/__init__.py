"""Live connections: nodes' uplinks, the coordinator's peers, readers of events."""
