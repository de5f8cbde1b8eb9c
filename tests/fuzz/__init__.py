"""Generated configs, models, snapshots, specs and options through the whole command, by fixed seeds."""
