"""Everything of clusterview that is not a terminal: what exists, how to lay a model out, how to run it."""

# How cluster/launcher.py knows this package from another of its name.
DISTRIBUTION = "clusterview"
