"""One request: retrieval → featurization → score → decision → audit. Each step is a module of its own."""
