"""Whether the files of a set are those its manifest speaks of."""

from __future__ import annotations

import hashlib

from hilum.data.shards.fetching import digest_of
from hilum.data.shards.manifest import File, ShardManifest
from hilum.data.shards.storage import FolderStore, Store


def damaged(store: Store, manifest: ShardManifest) -> list[tuple[str, str]]:
    """(name, what is wrong with it) for each file that is not as the manifest says; reads all."""
    differences = (
        (file.name, difference(store, file))
        for file in (*manifest.shards, *manifest.tables.values())
    )
    return [(name, wrong) for name, wrong in differences if wrong is not None]


def difference(store: Store, file: File) -> str | None:
    """In words how a file differs from what it should be; None when it does not."""
    try:
        if isinstance(store, FolderStore):
            path = store.path(file.name)
            found, digest = path.stat().st_size, digest_of(path)
        else:
            data = store.read(file.name)
            found, digest = len(data), hashlib.sha256(data).hexdigest()
    except FileNotFoundError:
        return "no such file"
    if found != file.bytes:
        return f"{found:,} bytes, of {file.bytes:,}"
    return None if digest == file.sha256 else "other bytes than were written (sha256 differs)"
