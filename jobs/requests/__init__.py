"""Requests in a file → decisions in a file."""
