"""The planner in a process of its own, so that no plan, however long it takes, holds up the screen."""
