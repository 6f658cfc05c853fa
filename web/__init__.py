"""The HTTP face: thin. Knows Flask, and nothing of Feast."""
