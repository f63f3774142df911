"""Monitoring: whether a classifier in service still meets the films and errors it was judged by."""
