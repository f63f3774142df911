"""What this machine and this installation are good for: `hilum doctor`.

Nothing here is changed or mended, and nothing that names a person, a host or a folder is told.
"""
