"""Between the app and the terminal: bytes of any kind come in, and only cells that changed go out."""
