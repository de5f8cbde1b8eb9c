"""An engine's server on one node, as its agent runs it: started under a guard, read, asked and ended."""
