"""Memory: reading takes what the needed columns take, whatever else stands in the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hilum.evaluation.foreign.tables import blocks, header_of

# Reads one file in a process of its own and tells the rows and the growth of its peak memory.
READ = """
import json, sys
from pathlib import Path
from hilum.evaluation.foreign.reading import read_foreign
from hilum.evaluation.predictions import Predictions

def peak():
    # Not getrusage: there a process begins with the peak of the one that started it.
    (line,) = [each for each in open("/proc/self/status") if each.startswith("VmHWM")]
    return int(line.split()[1]) / 1024

# What libraries take when they are first used is no part of it.
Path(sys.argv[2]).write_text("id,label,prob\\na,1,0.5\\n")
read_foreign(Path(sys.argv[2]))
before = peak()
predictions = read_foreign(Path(sys.argv[1])).predictions
print(json.dumps({"rows": len(predictions), "growth": peak() - before}))
"""

linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")


def write_wide(path: Path, rows: int, width: int) -> None:
    """A CSV of `rows` rows with a column of reports, `width` characters with quotes and breaks."""
    report = '"no ""acute"" finding,\n' + "x" * (width - 24) + '"'
    prob_n = np.random.default_rng(0).random(rows).tolist()
    with path.open("w") as file:
        file.write("image_id,report,label,prob,comment\n")
        file.writelines(f"{i:08d},{report},{i % 2},{p!r},\n" for i, p in enumerate(prob_n))


def growth(path: Path, rows: int) -> float:
    """How many MB the peak memory grows by while a file is read."""
    small = path.with_name("small.csv")
    told = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(small)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(told.stdout)
    assert found["rows"] == rows
    return float(found["growth"])


@linux
def test_memory_does_not_grow_with_columns_that_are_not_needed(tmp_path: Path) -> None:
    write_wide(tmp_path / "wide.csv", 20_000, 3000)
    assert (tmp_path / "wide.csv").stat().st_size > 60e6
    assert growth(tmp_path / "wide.csv", 20_000) < 90


@linux
@pytest.mark.slow
def test_a_csv_of_2_gb_is_read_in_bounded_memory(tmp_path: Path) -> None:
    write_wide(tmp_path / "wide.csv", 670_000, 3000)
    assert (tmp_path / "wide.csv").stat().st_size > 2e9
    # 60 MB of it is the table itself.
    assert growth(tmp_path / "wide.csv", 670_000) < 200


@linux
def test_columns_of_parquet_that_are_not_needed_are_not_read(tmp_path: Path) -> None:
    rows = 50_000
    rng = np.random.default_rng(0)
    table = {
        "id": np.arange(rows),
        "label": np.arange(rows) % 2,
        "prob": rng.random(rows),
        "report": [rng.bytes(3000) for _ in range(rows)],
    }
    pq.write_table(pa.table(table), tmp_path / "wide.parquet")
    assert (tmp_path / "wide.parquet").stat().st_size > 150e6
    assert growth(tmp_path / "wide.parquet", rows) < 80


def test_blocks_hold_the_named_columns_as_text(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text('id,"a, b",c\n007,"1\n2",x\n')
    assert header_of(path) == ["id", "a, b", "c"]
    (block,) = blocks(path, ["a, b", "id"])
    assert block.select(["id", "a, b"]).to_pylist() == [{"id": "007", "a, b": "1\n2"}]
