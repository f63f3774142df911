"""What an interrupted run leaves beside its shards, so that the next one goes on from there.

`unfinished/plan.json` says what was asked for; each finished shard has a note of its members. All
of it goes when the manifest stands.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hilum.data.shards.fetching import read_whole
from hilum.data.shards.manifest import BOXES, EXCLUDED, INDEX, MANIFEST, Shard
from hilum.data.shards.storage import WritableStore
from hilum.errors import DataError, OutputError

_FOLDER = "unfinished"
_PLAN = f"{_FOLDER}/plan.json"
_OURS = re.compile(
    rf"\d{{6}}\.tar|{_FOLDER}/.*|\..*\.part\..*|"
    + "|".join(map(re.escape, (MANIFEST, INDEX, BOXES, EXCLUDED)))
)
_DRAFT = re.compile(r"(.*/)?\.[^/]*\.part\.[^/]*")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Kind = TypeVar("_Kind", bound=_Part)


class Members(_Part):
    """Of a shard's films, in their order; `position` is the row of the cohort."""

    position: tuple[int, ...]
    key: tuple[str, ...]
    suffix: tuple[str, ...]
    offset: tuple[int, ...]
    length: tuple[int, ...]
    crc32: tuple[int, ...]
    height: tuple[int, ...]
    width: tuple[int, ...]
    from_height: tuple[int, ...]
    from_width: tuple[int, ...]
    aspect: tuple[float | None, ...]


class Written(_Part):
    """A finished shard: its members, and the rows whose film could not be read, with the reason."""

    shard: Shard
    members: Members
    broken: dict[int, str]
    formats: tuple[str, ...]


class Plan(_Part):
    """What was asked for (`digest`), and what was settled when the run began."""

    digest: str
    per_shard: int
    salt: str | None


@dataclass(frozen=True)
class Unfinished:
    """A run's own notes, in the place where its shards go."""

    store: WritableStore

    def plan(self) -> Plan | None:
        """What the run in this place was asked for; None when the place is free.

        Drafts that a killed run has left are removed. Raises OutputError when other files are here.
        """
        names = self.store.names()
        for name in filter(_DRAFT.fullmatch, names):
            self.store.remove(name)
        names = [name for name in names if not _DRAFT.fullmatch(name)]
        if _PLAN not in names:
            if names:
                raise OutputError(
                    self.store.location,
                    f"holds other files ({names[0]}, …)",
                    expected="an empty place, or an unfinished run's",
                    remedy="name another one",
                )
            return None
        return self._read(Plan, _PLAN)

    def begin(self, plan: Plan) -> None:
        self.store.write(_PLAN, plan.model_dump_json().encode())

    def note(self, written: Written) -> None:
        """Say that a shard, which stands already, is finished."""
        data = json.dumps(written.model_dump(mode="json"), allow_nan=False, separators=(",", ":"))
        self.store.write(_note(written.shard.name), data.encode())

    def written(self) -> dict[str, Written]:
        """The shards that are finished, as far as notes go; that they are whole is not checked."""
        names = set(self.store.names())
        notes = [name for name in sorted(names) if name.startswith(f"{_FOLDER}/") and name != _PLAN]
        each = [self._read(Written, name) for name in notes]
        return {one.shard.name: one for one in each if one.shard.name in names}

    def clear(self) -> None:
        """Remove the notes; the plan last, by which they are known for ours."""
        names = [name for name in self.store.names() if name.startswith(f"{_FOLDER}/")]
        for name in sorted(names, key=lambda name: name == _PLAN):
            self.store.remove(name)

    def _read(self, kind: type[_Kind], name: str) -> _Kind:
        try:
            return kind.model_validate_json(read_whole(self.store, name))
        except ValidationError as error:
            raise DataError(
                f"{self.store.location}/{name}",
                f"cannot be read ({error.error_count()} errors)",
                remedy="start again by --no-resume",
            ) from error


def remove_all(store: WritableStore) -> None:
    """Remove what an earlier run wrote here, the manifest first. Raises OutputError when there are
    other files."""
    names = store.names()
    refuse_others(store, names)
    for name in sorted(names, key=lambda name: (name != MANIFEST, name == _PLAN)):
        store.remove(name)


def refuse_others(store: WritableStore, names: Sequence[str]) -> None:
    """Raise OutputError when there are files that no run of ours writes."""
    for name in names:
        if not _OURS.fullmatch(name):
            raise OutputError(
                store.location, f"holds other files ({name}, …)", remedy="name another place"
            )


def new_salt() -> str:
    return secrets.token_hex(16)


def _note(shard: str) -> str:
    return f"{_FOLDER}/{shard.removesuffix('.tar')}.json"
