"""What an operator sees of the running service: numbers for Prometheus, traces for OpenTelemetry, lines of a log."""
