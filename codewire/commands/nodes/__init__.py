"""Commands about nodes: this one and others."""
