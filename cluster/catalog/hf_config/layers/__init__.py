"""Tensors of one decoder layer: attention variants, recurrent mixers, feed-forward parts."""
