"""The built-in engine: a tensor- and pipeline-parallel transformer in plain torch, one process per rank.

Not to be confused with the engines that plans are made for (cluster/catalog/engines). Start reading at
rank_worker.py. Only the modules that a rank loads import torch; config, scheduler and tokenizer do not.
"""
