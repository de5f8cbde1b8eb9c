"""One file per format; its name, with dashes for underscores, is what `--format` takes."""
