"""The live state of a cluster, joined from its events, and as Prometheus metrics."""
