"""Pure functions from a cluster, a model and a request to a plan. No clock, no files, no logging."""
