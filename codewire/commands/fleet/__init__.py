"""Commands about nodes on many machines that find each other over NATS."""
