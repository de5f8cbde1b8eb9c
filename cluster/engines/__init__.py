"""Engines that run as processes of their own (vLLM, SGLang): their commands, and what they say of themselves.

Each engine is one file in `adapters/`. This package is pure: it makes commands and reads text. The processes
are started and watched by `cluster/deploy`.
"""
