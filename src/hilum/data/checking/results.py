"""What a check of a data set found: typed, frozen, and the same in JSON.

Ids in it are pseudonyms unless they are public or were asked for; no name, date or UID is.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class LabelCount(_Part):
    """One finding. meaning: what a 1 means in this source, "" where the source does not say."""

    finding: str
    meaning: str
    present: int
    absent: int
    unknown: int


class Kind(_Part):
    """How many images share a reason or an oddity, and the ids of the first few."""

    what: str
    n: int
    examples: tuple[str, ...] = ()


class Ages(_Part):
    """In years. highest: 90 for all above 89 where ids are not public."""

    bands: dict[str, int]
    lowest: float | None
    median: float | None
    highest: float | None


class Patients(_Part):
    """known: images whose patient is known; with_films: patients by how many films they have."""

    n: int
    known: int
    with_films: dict[str, int]
    most_films: int


class Films(_Part):
    """What the films are by their headers, or by the array that holds them.

    n: films whose size is known; counts of one kind add up to it where every film tells
    sizes: "columns x rows" -> films, the commonest first; other_sizes: films of the rest
    shorter_side: least, median and greatest, in pixels
    disagreements: column -> films whose file says otherwise than the table
    """

    n: int
    formats: dict[str, int]
    sizes: dict[str, int]
    other_sizes: int
    shorter_side: tuple[int, float, int] | None
    bits: dict[str, int]
    photometric: dict[str, int]
    modality: dict[str, int]
    body_part: dict[str, int]
    transfer_syntax: dict[str, int]
    oddities: tuple[Kind, ...]
    disagreements: tuple[Kind, ...]


class Duplicates(_Part):
    """looked_for: False where pixels were not read; hashed: films whose hash says something.

    same_pixels: sets of films with equal pixels, and the films in them
    same_film: sets of films that are one by perceptual hash, those with equal pixels among them
    of_two_patients: sets of these whose films the table gives to two patients or more
    """

    looked_for: bool
    hashed: int
    same_pixels_sets: int
    same_pixels_films: int
    same_film_sets: int
    same_film_films: int
    of_two_patients: int


Bond = Literal["same patient", "same pixels", "same film"]


class Leak(_Part):
    """What two published splits share. n: patients, or films; images: theirs in each of the two."""

    bond: Bond
    splits: tuple[str, str]
    n: int
    images: tuple[int, int]
    examples: tuple[str, ...]


class Conflict(_Part):
    """Sets of films that are one and have different labels; of each example, with and without."""

    finding: str
    sets: int
    examples: tuple[tuple[str, str], ...]


class Against(_Part):
    """Images of this source that another one has, too; "same film" counts "same pixels" in.

    n_images: of the other source
    pixels_compared: False where pixels were not read
    patients_comparable: False where one of the two does not know its patients
    """

    source: str
    n_images: int
    pixels_compared: bool
    patients_comparable: bool
    same_pixels: int
    same_film: int
    same_patient: int
    examples: tuple[tuple[str, str, Bond], ...]


class PlannedRoles(_Part):
    """Roles as training would give them. duplicates: how they were looked for."""

    roles: dict[str, dict[str, object]]
    grouping: str
    seed: int
    duplicates: Literal["near", "exact", "off"]
    excluded: tuple[Kind, ...]


class DataCheck(_Part):
    """All that was found. ids: what stands for an image or a patient here.

    n_images: in the table
    pixels_read: False where headers alone were looked at
    excluded: images that the source holds and the table does not
    problems: what a person should look into, the gravest first; empty when there is nothing
    """

    schema_: int = SCHEMA
    hilum: str
    source: str
    synthetic: bool
    licence: str
    ids: Literal["published", "pseudonyms", "as in the source"]
    n_images: int
    pixels_read: bool
    labels: tuple[LabelCount, ...]
    view: dict[str, int]
    sex: dict[str, int]
    site: dict[str, int]
    split: dict[str, int]
    age: Ages
    patients: Patients
    boxes: dict[str, int]
    films: Films
    broken: tuple[Kind, ...]
    excluded: tuple[Kind, ...]
    duplicates: Duplicates
    leaks: tuple[Leak, ...]
    conflicts: tuple[Conflict, ...]
    roles: PlannedRoles | None
    against: Against | None
    problems: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON, `schema` first."""
        plain = self.model_dump(mode="json")
        return {"schema": plain.pop("schema_"), **plain}
