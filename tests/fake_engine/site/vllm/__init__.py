"""A fake vLLM for tests: the command line, log lines and HTTP API of vLLM 0.32, without a model."""
