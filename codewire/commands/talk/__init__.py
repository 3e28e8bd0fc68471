"""Commands by which agents talk: messages, shared keys."""
