"""One file per engine, named like it; each has an `ENGINE` as described by cluster/engines/adapter.py."""
