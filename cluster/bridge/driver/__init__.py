"""Runs in the child process that is the Ray driver: what it sees on a cluster, and what it does there."""
