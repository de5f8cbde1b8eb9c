"""Between the app and the terminal: accepts any input bytes, and writes only cells that changed."""
