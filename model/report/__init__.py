"""The report of a model: one HTML file."""
