"""What reading found odd about films that it could read: each oddity told once, films counted.

What counts as odd is `radiograph`'s business; films that cannot be read, `reading`'s.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import NamedTuple

KINDS = 100  # kept; what comes after is counted as OTHER
OTHER = "another oddity, of which `hilum data check` tells"


class Oddity(NamedTuple):
    """films: how many have it; first: the index of the first of them."""

    films: int
    first: int


class Oddities:
    """Oddities of `n` films by what is odd. Reading threads add to it.

    A film counts once, however often it is read, and memory does not grow with the films.
    """

    def __init__(self, n: int) -> None:
        self._told = bytearray(n)
        self._by_kind: dict[str, Oddity] = {}
        self._lock = threading.Lock()

    def add(self, index: int, warnings: Sequence[str]) -> None:
        """Keep note of what was odd about film `index`."""
        if not warnings or self._told[index]:
            return
        with self._lock:
            if self._told[index]:  # another thread has read it meanwhile
                return
            self._told[index] = True
            kinds = {w if w in self._by_kind or self._room else OTHER for w in warnings}
            for kind in kinds:
                films, first = self._by_kind.get(kind, Oddity(0, index))
                self._by_kind[kind] = Oddity(films + 1, min(first, index))

    @property
    def by_kind(self) -> Mapping[str, Oddity]:
        """What is odd → how many films have it, and the first; the commonest stands first."""
        with self._lock:
            kinds = dict(self._by_kind)
        return dict(sorted(kinds.items(), key=lambda kind: (-kind[1].films, kind[0])))

    @property
    def _room(self) -> bool:
        return len(self._by_kind) < KINDS
