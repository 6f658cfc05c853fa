"""A new domain, written from an example of its events."""
