"""What the fake vLLM and the fake SGLang share: processes, HTTP server, answers. Standard library only."""
