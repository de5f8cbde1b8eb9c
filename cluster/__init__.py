"""Everything of clusterview that is not a terminal: what exists, how to lay a model out, how to run it."""
