"""Measures what this cluster's links and GPUs achieve, for later plans. Plain processes or Ray actors."""
