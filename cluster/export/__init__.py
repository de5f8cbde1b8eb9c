"""Texts for other engines and orchestrators."""
