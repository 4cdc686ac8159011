"""Events: what leaves through the outbox, and what the platform delivers."""
