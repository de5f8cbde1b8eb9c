"""Load tests: a stated mix of requests to an OpenAI-style endpoint, measured beside what was predicted."""
