"""From a fitted model to a version that serves. The service itself imports none of it."""
