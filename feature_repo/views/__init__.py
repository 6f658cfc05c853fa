"""How Feast stores and serves what the domains declare."""
