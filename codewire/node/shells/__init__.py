"""What SSH sessions run on this node: no sessions of the node's, and gone with their connection."""
