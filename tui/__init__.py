"""The terminal application: screens over the cluster package."""
