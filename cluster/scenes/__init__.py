"""Simulated scenes: a cluster, what runs on it, and what goes wrong at which time, in a file."""
