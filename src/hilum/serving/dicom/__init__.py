"""Beside a PACS: films in by C-STORE or DICOMweb, answers out as SR and Secondary Capture.

What is said of a film is left to `answering`; bytes are decoded by `decoding`.
"""
