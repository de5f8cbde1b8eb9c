"""Recordings of a cluster: written by `clusterview record`, played by `--replay`."""
