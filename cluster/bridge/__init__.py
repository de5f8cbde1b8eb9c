"""The child process that is the Ray driver, and the line protocol by which screens and commands talk to it."""
