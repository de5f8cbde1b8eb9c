"""The process that owns an embedded Ray cluster on this machine, and how sessions find it."""
