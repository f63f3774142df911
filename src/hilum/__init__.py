"""Hilum: train a chest X-ray classifier, prove how far it can be trusted, put it to work."""

__version__ = "0.1.0"
