"""The record: a line of JSON for each film that a bundle answered in service.

What is made of it is left to the modules beside this; a service may add fields of its own to a
line, such as a hash of the line before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from hilum.bundle import Bundle
from hilum.data.appearance import ATTRIBUTES
from hilum.errors import DataError, OutputError
from hilum.observing import Observed
from hilum.robustness.monitoring.summary import NUMBERS, feature_summary

SCHEMA = 1
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class FindingAnswer(_Part):
    """What was said of one finding: raw logit, calibrated probability, decision when deployed."""

    logit: float
    prob: Annotated[float, Field(ge=0, le=1)]
    decision: Literal[0, 1]


class _Kind(_Part):
    """What a service's own record says a line is about; a plain record has answers alone."""

    kind: str = "answered"


class Line(_Part):
    """One answered film. It holds no id, nothing of the patient and no pixel.

    time: of the answer; bundle: its digest; input: SHA-256 of the film
    refer: None, or in a word why the film was referred to a person: gate, novelty, conformal
    appearance: the five ATTRIBUTES; feature: `feature_summary`
    engine: that answered, such as `openvino-f32`; None in lines from before there were others
    """

    schema_version: int = SCHEMA
    time: AwareDatetime
    bundle: Digest
    input: Digest
    findings: Annotated[dict[str, FindingAnswer], Field(min_length=1)]
    refer: str | None = None
    appearance: dict[str, float]
    feature: Annotated[tuple[float, ...], Field(min_length=NUMBERS, max_length=NUMBERS)]
    synthetic: bool = False
    engine: str | None = None


@dataclass(frozen=True)
class Record:
    """Lines by time, and what of the files could not be used, each told in a sentence."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


def lines_of(
    bundle: Bundle,
    observed: Observed,
    digests: Sequence[str],
    time: datetime,
    engine: str | None = None,
) -> list[Line]:
    """A line for each row of what was observed.

    digests: SHA-256 of each film, in hex; time: of the answer, with its zone
    engine: that answered, by its name
    A film is on record as referred when any of its findings is.
    """
    predictions = observed.predictions
    number_nk = feature_summary(observed.feature_nd, bundle.digest)
    by_finding = {
        f: (predictions.logit(f), predictions.prob(f), predictions.decision(f))
        for f in predictions.findings
    }
    said = [
        [""] * len(predictions) if (reason_n := predictions.referrals(f)) is None else reason_n
        for f in predictions.findings
    ]
    reasons = [next(filter(None, of_film), None) for of_film in zip(*said, strict=True)]
    return [
        Line(
            time=time.astimezone(UTC),
            bundle=bundle.digest,
            input=digest,
            findings={
                f: FindingAnswer(
                    logit=short(logit_n[i]),
                    prob=short(prob_n[i]),
                    decision=1 if called_n[i] else 0,
                )
                for f, (logit_n, prob_n, called_n) in by_finding.items()
            },
            refer=reason,
            appearance={name: short(observed.appearance[name].iloc[i]) for name in ATTRIBUTES},
            feature=tuple(short(number) for number in number_nk[i]),
            synthetic=predictions.synthetic,
            engine=engine,
        )
        for i, (digest, reason) in enumerate(zip(digests, reasons, strict=True))
    ]


def short(number: float) -> float:
    """Seven digits of a number, as a line has them."""
    return float(f"{number:.7g}")


def append(folder: Path, lines: Sequence[Line]) -> None:
    """Add lines to the folder's record, to the file of the day of each.

    A line is one write to a file that is only ever added to, so that several processes may write at
    once. A file whose last line was torn, as when a machine lost power, is left as it is, and
    another one begun. Raises OutputError.
    """
    handles: dict[Path, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for line in lines:
            file = _file_of(folder, line)
            if file not in handles:
                handles[file] = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            text = (line.model_dump_json() + "\n").encode()
            if os.write(handles[file], text) != len(text):
                raise OutputError(file, "a line was cut off", remedy="make room on the disk")
    except OSError as error:
        raise OutputError(
            folder,
            f"cannot be written ({error.strerror or error})",
            remedy="name a folder that you may write to, on a disk with room",
        ) from error
    finally:
        for handle in handles.values():
            os.close(handle)


def _file_of(folder: Path, line: Line) -> Path:
    day, number = line.time.astimezone(UTC).date().isoformat(), 0
    while True:
        file = folder / (f"{day}.jsonl" if number == 0 else f"{day}.{number}.jsonl")
        if not (file.exists() and _torn(file)):
            return file
        number += 1


def _torn(file: Path) -> bool:
    with file.open("rb") as lines:
        if lines.seek(0, os.SEEK_END) == 0:
            return False
        lines.seek(-1, os.SEEK_END)
        return lines.read(1) != b"\n"


def read_record(folder: Path) -> Record:
    """The lines of `*.jsonl` in the folder, files in the order of their names, then by time.

    A last line that was torn is left out and noted. Raises DataError: no folder, no file, no line,
    or a line that is damaged, named by file and number.
    """
    if not folder.is_dir():
        raise DataError(
            folder, "no such folder", expected="a record, as 'hilum predict --log' writes it"
        )
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        raise DataError(
            folder, "no file *.jsonl", expected="a record, as 'hilum predict --log' writes it"
        )
    lines: list[Line] = []
    notes: list[str] = []
    for file in files:
        try:
            whole = file.read_bytes()
        except OSError as error:
            raise DataError(file, f"cannot be read ({error.strerror or error})") from error
        *ended, rest = whole.split(b"\n")
        parsed = (_parsed(file, k, text) for k, text in enumerate(ended, 1) if text.strip())
        lines += [line for line in parsed if line is not None]
        if rest:
            notes.append(f"{file.name}:{len(ended) + 1}: the last line is torn and is left out")
    if not lines:
        raise DataError(folder, "no line in the record", expected="a line for each answered film")
    return Record(tuple(sorted(lines, key=lambda line: line.time)), tuple(notes))


def _parsed(file: Path, number: int, text: bytes) -> Line | None:
    """One line; None for one that is about no answer."""
    try:
        if b'"kind"' in text and _Kind.model_validate_json(text).kind != "answered":
            return None
        line = Line.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{file}:{number}",
            f"damaged line ({f'{where}: ' if where else ''}{first['msg']})",
            expected="a line as 'hilum predict --log' writes it",
            remedy="take the line out, or restore the file",
        ) from error
    if line.schema_version > SCHEMA:
        raise DataError(
            f"{file}:{number}",
            f"schema {line.schema_version}",
            expected=f"{SCHEMA} or less",
            remedy="read it with the version of hilum that wrote it",
        )
    missing = _missing(line.appearance)
    if missing:
        raise DataError(f"{file}:{number}", f"no {missing} in appearance")
    return line


def _missing(appearance: Mapping[str, float]) -> str:
    return ", ".join(name for name in ATTRIBUTES if name not in appearance)
