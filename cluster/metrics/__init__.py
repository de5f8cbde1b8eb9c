"""Live readings as Prometheus text."""
