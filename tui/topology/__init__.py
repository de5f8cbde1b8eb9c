"""How the devices of a node reach each other, and what a layout sends where. Pure."""
