"""Robustness: what becomes of a classifier when films are not as they should be."""
