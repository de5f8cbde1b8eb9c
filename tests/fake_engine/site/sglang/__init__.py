"""A fake SGLang for tests: the command line, log lines and HTTP API of SGLang 0.5, without a model."""
