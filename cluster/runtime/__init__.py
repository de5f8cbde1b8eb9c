"""What runs in a rank: the built-in torch transformer."""
