"""The planner measured against what real engines and machines reported: the tables of `make evidence`."""
