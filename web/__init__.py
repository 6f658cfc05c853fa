"""The HTTP face of the service. It is thin: it knows Flask, and does not know Feast."""
