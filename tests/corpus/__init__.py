"""Answers of the planner, kept to notice when one changes."""
