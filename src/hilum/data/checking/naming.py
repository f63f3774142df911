"""What stands for an image or a patient in anything that is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hilum.data.cohort import Cohort
from hilum.data.seen import pseudonym

EXAMPLES = 5  # ids shown of each kind of thing; the tables beside the JSON have them all


@dataclass(frozen=True)
class Naming:
    """salt: of the pseudonyms, drawn anew for each run; None leaves ids as they are.

    hidden_salt: of those of a source beside a published one
    """

    how: Literal["published", "pseudonyms", "as in the source"]
    salt: str | None
    hidden_salt: str | None = None

    @classmethod
    def of(cls, cohort: Cohort, salt: str, *, keep_ids: bool) -> Naming:
        if cohort.public_ids:
            return cls("published", None, None if keep_ids else salt)
        return cls("as in the source", None) if keep_ids else cls("pseudonyms", salt)

    def beside(self, other: Cohort) -> Naming:
        """How the ids of another source are named: alike, unless these are published and it is
        a hospital's own."""
        if self.hidden_salt is None or other.public_ids:
            return self
        return Naming("pseudonyms", self.hidden_salt)

    def __call__(self, identifier: object) -> str:
        name = str(identifier)
        return name if self.salt is None else pseudonym(name, self.salt)
