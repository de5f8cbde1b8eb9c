"""Fuzzing: generated configs, models, snapshots, specs and options through the whole command, by seed."""
