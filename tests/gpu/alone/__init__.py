"""Checks on a bare GPU machine: Python 3.12 and torch with CUDA, but no Ray, no Textual and no package index.

    make gpu-wheels                                    here: puts what is missing there into gpu-wheels/
    python3 tests/gpu/alone/start.py gpu-wheels        there: runs everything, prints one JSON object

The second command installs the wheels into a temporary folder and removes it afterwards.
"""
