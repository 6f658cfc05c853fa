"""Logged requests → decisions again, by the versions that decided them or by others. Nothing is logged."""
