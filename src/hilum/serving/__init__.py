"""Serving a bundle: over HTTP with a page, and beside a PACS."""
