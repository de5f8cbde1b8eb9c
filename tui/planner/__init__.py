"""The planner in its own process, so that no plan, however long it takes, blocks the screen."""
