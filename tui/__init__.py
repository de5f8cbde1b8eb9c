"""The terminal application: screens over the cluster package."""

# How cluster/launcher.py knows this package from another of its name.
DISTRIBUTION = "clusterview"
