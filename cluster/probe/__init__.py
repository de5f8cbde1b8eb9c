"""Reads a node's GPUs through NVML in a process of its own; shippable to a node alone."""
