"""One request: retrieval → featurization → model → decision → audit, each kept apart."""
