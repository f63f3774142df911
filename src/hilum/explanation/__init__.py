"""Explanation: where a classifier looks, how far that can be trusted, and what it cheats with."""
