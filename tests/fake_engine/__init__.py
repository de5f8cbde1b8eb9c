"""A fake engine for tests: a Python with a package `vllm` or `sglang` whose server needs no GPU.

`python.py` makes the interpreter and changes how its servers behave; the packages are in `site/`.
"""
