"""Screens: one full view each."""
