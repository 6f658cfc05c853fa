"""The states of a stream in the online store."""
