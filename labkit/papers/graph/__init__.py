"""Self-supervision on graphs."""
