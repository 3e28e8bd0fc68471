"""The two databases behind one transaction: what differs between them, and nothing else."""
