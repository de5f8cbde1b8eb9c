"""End-to-end tests through the command line and a real terminal."""
