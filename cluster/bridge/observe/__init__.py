"""A Ray cluster seen through its own dashboard's HTTP, without joining it."""
