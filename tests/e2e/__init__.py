"""The product as its user meets it: the command line and a real terminal, end to end."""
