"""Cohort ↔ WebDataset tar shards, in a folder, on a web server or in object storage.

Which source a cohort came from first is not known here.
"""
