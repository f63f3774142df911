"""Predictions: one row per image, with label, logit, probability and decision; Parquet or CSV.

What they are worth is computed in `evaluate`; how they are made is `hilum.predict`'s; anybody
else's tables are read by `reading`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import ArrayLike, NDArray

from hilum.columns import column, spelt
from hilum.errors import EvaluationError
from hilum.writing import replacing

# Where a Parquet file notes what no column says.
_NOTED = b"hilum"

HUGE = 1e30  # beyond any logit that a network computes in single precision and its squares
_TEXT = ("image_id", "patient_id", "site", "view", "sex")


@dataclass(frozen=True)
class Predictions:
    """One row per image, for one finding or many.

    findings: as they are spelt in reports; a column's suffix is the name in lower case with
        underscores
    table: `image_id, patient_id`, then per finding `label_…` (1, 0, missing = unknown),
        `logit_…` (raw, before calibration; missing where nobody knows it) and `prob_…`
        (calibrated, in [0, 1]), then the decision (0 or 1 at the deployed point: `decision` for
        one finding, `decision_…` for many), then, of a bundle that may refer, why it does (`refer`
        or `refer_…`: a word, empty where it answers), then any subgroup columns
    where: what an error names: the file, or "predictions"
    synthetic: True when no patient stands behind the images
    Raises EvaluationError on a table that is none of this.
    """

    findings: tuple[str, ...]
    table: pd.DataFrame
    where: str = "predictions"
    synthetic: bool = False

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        return len(self.table)

    @classmethod
    def from_arrays(
        cls,
        findings: Sequence[str],
        image_id_n: Sequence[object],
        *,
        label_nf: NDArray[np.floating],
        logit_nf: NDArray[np.floating],
        prob_nf: NDArray[np.floating],
        threshold_f: Sequence[float],
        patient_id_n: Sequence[object] | None = None,
        subgroups: pd.DataFrame | None = None,
        synthetic: bool = False,
    ) -> Predictions:
        """Predictions from arrays.

        label_nf: 1 present, 0 absent, NaN unknown, shape (n, f)
        logit_nf: raw logits, shape (n, f)
        prob_nf: calibrated probabilities, shape (n, f)
        threshold_f: the deployed operating point per finding, on prob; positive is prob >= it
        patient_id_n: may hold missing values; None when no patient is known
        subgroups: extra columns (site, view, age, sex), n rows in the same order; its index is
            left aside
        synthetic: True when no patient stands behind the images
        """
        n = len(image_id_n)
        patient_n = pd.Series([None] * n if patient_id_n is None else list(patient_id_n))
        columns: dict[str, ArrayLike | pd.Series] = {
            "image_id": pd.Series([str(image_id) for image_id in image_id_n], dtype="str"),
            "patient_id": patient_n.map(str, na_action="ignore").astype("str"),
        }
        for f, finding in enumerate(findings):
            columns[column("label", finding)] = np.asarray(label_nf[:, f], dtype=np.float64)
            columns[column("logit", finding)] = np.asarray(logit_nf[:, f], dtype=np.float64)
            columns[column("prob", finding)] = np.asarray(prob_nf[:, f], dtype=np.float64)
        for f, finding in enumerate(findings):
            prob_n = np.asarray(prob_nf[:, f], dtype=np.float64)
            columns[decision_column(finding, findings)] = (prob_n >= threshold_f[f]).astype(np.int8)
        table = pd.DataFrame(columns)
        if subgroups is not None:
            for name in subgroups.columns:
                table[name] = subgroups[name].to_numpy()
        return cls(tuple(findings), table, synthetic=synthetic)

    @property
    def group_columns(self) -> tuple[str, ...]:
        """What figures may be broken down by: every column but the standard ones."""
        referrals = [refer_column(finding, self.findings) for finding in self.findings]
        standard = [*standard_columns(self.findings), *referrals]
        return tuple(str(name) for name in self.table.columns if name not in standard)

    @property
    def image_id_n(self) -> list[str]:
        return [str(image_id) for image_id in self.table["image_id"]]

    @property
    def patient_id_n(self) -> NDArray[np.object_]:
        """Patient ids, None where unknown, shape (n,)."""
        patient = self.table["patient_id"].astype(object)
        known = patient.notna() & (patient.astype(str).str.strip() != "")
        return patient.where(known, None).to_numpy(dtype=object)

    def label(self, finding: str) -> NDArray[np.float64]:
        """Labels, shape (n,): 1 present, 0 absent, NaN unknown."""
        return self._floats("label", finding)

    def logit(self, finding: str) -> NDArray[np.float64]:
        """Raw logits, shape (n,); NaN where the file gives none."""
        return self._floats("logit", finding)

    def prob(self, finding: str) -> NDArray[np.float64]:
        """Calibrated probabilities in [0, 1], shape (n,)."""
        return self._floats("prob", finding)

    def decision(self, finding: str) -> NDArray[np.int8]:
        """Decisions at the deployed operating point, 0 or 1, shape (n,)."""
        return self.table[decision_column(finding, self.findings)].to_numpy(dtype=np.int8)

    def referrals(self, finding: str) -> NDArray[np.object_] | None:
        """Why each image is referred, "" where it is answered, shape (n,); None where nothing says
        whether the classifier may refer.
        """
        name = refer_column(finding, self.findings)
        if name not in self.table.columns:
            return None
        return self.table[name].astype(object).fillna("").astype(str).to_numpy(dtype=object)

    def with_referrals(self, reason: Mapping[str, NDArray[np.str_]]) -> Predictions:
        """The same, and why each image is referred: finding -> a word or "", shape (n,)."""
        table = self.table.copy()
        at = len(standard_columns(self.findings))
        for k, finding in enumerate(self.findings):
            values = pd.Series(reason[finding].tolist(), dtype="str", index=table.index)
            table.insert(at + k, refer_column(finding, self.findings), values)
        return replace(self, table=table)

    def _floats(self, kind: str, finding: str) -> NDArray[np.float64]:
        return self.table[column(kind, finding)].to_numpy(dtype=np.float64, na_value=np.nan)

    def write(self, path: Path) -> None:
        """Write Parquet or CSV, by the suffix. Raises OutputError, or EvaluationError on a suffix
        that is neither.

        CSV has no place for how findings are spelt, nor for whether the images are synthetic.
        """
        refuse_suffix(path)
        with replacing(path) as draft:
            if path.suffix.lower() == ".csv":
                self.table.to_csv(draft, index=False)
            else:
                table = pa.Table.from_pandas(self.table, preserve_index=False)
                noted = {
                    "findings": self.findings,
                    "synthetic": self.synthetic,
                    "groups": self.group_columns,
                }
                metadata = {**table.schema.metadata, _NOTED: json.dumps(noted).encode()}
                pa.parquet.write_table(table.replace_schema_metadata(metadata), draft)

    @classmethod
    def read(cls, path: Path, findings: Sequence[str] | None = None) -> Predictions:
        """Read what `write` wrote.

        findings: how to spell them; None takes them as the Parquet file notes them, otherwise
            from the `prob_…` columns, in title case
        Raises EvaluationError when the file is not there, cannot be read, or is no such table.
        """
        refuse_suffix(path)
        noted: dict[str, Any] = {}
        try:
            if path.suffix.lower() == ".csv":
                # Ids such as 00042 are names, not numbers; floats come back bit for bit.
                table = pd.read_csv(path, dtype=dict.fromkeys(_TEXT, "str"))
            else:
                table = pd.read_parquet(path)
                noted = noted_in(path)
        except (OSError, ValueError) as error:
            line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise EvaluationError(
                path, f"cannot be read ({line})", expected="predictions as Parquet or CSV"
            ) from error
        if findings is None:
            findings = noted.get("findings") or [
                spelt(name.removeprefix("prob_"))
                for name in table.columns
                if name.startswith("prob_")
            ]
        return cls(tuple(findings), table, str(path), bool(noted.get("synthetic")))


def noted_in(path: Path) -> dict[str, Any]:
    """What `Predictions.write` noted in a Parquet file: `findings` as they are spelt, `synthetic`,
    and which columns are `groups`; empty for anybody else's file.

    Raises ValueError or OSError on a damaged one.
    """
    noted = (pa.parquet.read_schema(path).metadata or {}).get(_NOTED)
    return dict(json.loads(noted)) if noted else {}


def decision_column(finding: str, findings: Sequence[str]) -> str:
    """`decision` where there is one finding, `decision_…` where there are several."""
    return "decision" if len(findings) == 1 else column("decision", finding)


def refer_column(finding: str, findings: Sequence[str]) -> str:
    """`refer` where there is one finding, `refer_…` where there are several."""
    return "refer" if len(findings) == 1 else column("refer", finding)


def standard_columns(findings: Sequence[str]) -> list[str]:
    """The columns that every table has; but for `refer…`, whatever else it has are subgroups."""
    return [
        "image_id",
        "patient_id",
        *(column(kind, f) for f in findings for kind in ("label", "logit", "prob")),
        *(decision_column(f, findings) for f in findings),
    ]


def refuse_suffix(path: Path) -> None:
    """Raise EvaluationError unless the file ends in .csv or .parquet."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise EvaluationError(path, f"suffix {path.suffix!r}", expected=".parquet or .csv")


def _check(predictions: Predictions) -> None:
    table, findings, where = predictions.table, predictions.findings, predictions.where
    if not findings:
        raise EvaluationError(where, "no finding", expected="at least one column prob_{finding}")
    needed = standard_columns(findings)
    if len(set(needed)) < len(needed):
        raise EvaluationError(where, "two findings share a column", expected="distinct findings")
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise EvaluationError(
            where, f"the columns {', '.join(missing)} are missing", expected=", ".join(needed)
        )
    if len(table) == 0:
        raise EvaluationError(where, "no rows", expected="one row per image")
    if table["image_id"].isna().any():
        raise EvaluationError(where, "a row without image_id", expected="an id per image")
    if not table["image_id"].is_unique:
        twice = table["image_id"][table["image_id"].duplicated()].iloc[0]
        raise EvaluationError(
            where, f"image id {twice!r} stands more than once", expected="one row per image"
        )
    for finding in findings:
        _check_numbers(table, column("prob", finding), where, low=0.0, high=1.0, missing=False)
        _check_numbers(table, column("logit", finding), where, low=-HUGE, high=HUGE, missing=True)
        _check_binary(table, column("label", finding), where, missing=True)
        _check_binary(table, decision_column(finding, findings), where, missing=False)


def _numbers(table: pd.DataFrame, name: str, where: str) -> NDArray[np.float64]:
    try:
        return table[name].to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise EvaluationError(where, f"column {name} holds text", expected="numbers") from error


def _row(table: pd.DataFrame, bad_n: NDArray[np.bool_]) -> str:
    return f"image {table['image_id'].iloc[int(np.argmax(bad_n))]!r}"


def _check_numbers(
    table: pd.DataFrame,
    name: str,
    where: str,
    *,
    missing: bool,
    low: float = -np.inf,
    high: float = np.inf,
) -> None:
    value_n = _numbers(table, name, where)
    if not missing and np.isnan(value_n).any():
        raise EvaluationError(
            where,
            f"{name} is missing for {_row(table, np.isnan(value_n))}",
            expected="a number for every image",
        )
    bad_n = (value_n < low) | (value_n > high) | np.isinf(value_n)
    if bad_n.any():
        limits = "a finite number" if np.isinf(high) else f"a number in [{low:g}, {high:g}]"
        raise EvaluationError(
            where, f"{name} = {value_n[bad_n][0]:g} for {_row(table, bad_n)}", expected=limits
        )


def _check_binary(table: pd.DataFrame, name: str, where: str, *, missing: bool) -> None:
    value_n = _numbers(table, name, where)
    bad_n = ~np.isin(value_n, (0.0, 1.0))
    if missing:
        bad_n &= ~np.isnan(value_n)
    if bad_n.any():
        raise EvaluationError(
            where,
            f"{name} = {value_n[bad_n][0]:g} for {_row(table, bad_n)}",
            expected="0 (absent), 1 (present) or missing" if missing else "0 or 1",
            remedy="map it first",
        )
