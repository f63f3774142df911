"""A run on an MLflow server, found as MLflow's users expect: by MLFLOW_TRACKING_URI.

What a run's figures are, and what becomes of a server's failures, is the package's business.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before MLflow is imported: from version 3.2 on it reports its use to its makers unless told not
# to, and no training on patients' films tells anybody anything.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# A server that is down must not hold up training; what was not sent is sent later.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
# Standard output is for results, such as those of --json.
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.telemetry import set_telemetry_client
from mlflow.tracking import get_tracking_uri

from hilum.bundle import CARD, MANIFEST, NOT_A_DEVICE
from hilum.errors import HilumError
from hilum.training.metrics import METRICS, TABLE
from hilum.training.tracking import epoch_figures, final_figures, flattened, one_line, step_figures
from hilum.training.watching import EpochReport, StepReport
from hilum.writing import replacing

if TYPE_CHECKING:
    from hilum.training.records import RunRecord

set_telemetry_client()  # type: ignore[no-untyped-call] # where MLflow was imported before

_KEPT = "mlflow.json"
_FILES = (CARD, MANIFEST, METRICS, TABLE, "run.json")
_STATUS = {"done": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
# Limits of MLflow's REST interface, a request; values of 500 characters are what servers before
# 2.10 take. The recipe stands whole among the files.
_PARAMS, _METRICS, _VALUE = 100, 1000, 500
# What MLflow raises: its own, requests' (an OSError), and where a store's driver is missing.
_FAILURES = (MlflowException, OSError, ImportError)
# Seconds between two requests while training; doubled, up to the longest, while they fail.
_EVERY, _LONGEST = 10.0, 600.0


@dataclass(frozen=True)
class _Reached:
    """The last step and the last epoch that are with the server, or wait to be sent."""

    step: int = 0
    epoch: int = 0


class MlflowTracker:
    """Sends figures in batches; what could not be sent waits for the next time."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Raises HilumError when the server cannot be reached."""
        self._say = say
        uri = get_tracking_uri()
        self._on_server = uri.startswith(("http://", "https://"))
        self._where = re.sub(r"//[^/@]+@", "//", uri).rstrip("/")
        self._waiting: deque[Metric] = deque()
        self._pause, self._next = _EVERY, 0.0
        try:
            self._client = MlflowClient()
            self._experiment = self._experiment_id()
        except _FAILURES as error:
            raise self._unusable(error) from error

    def on_start(self, run: RunRecord, work: Path) -> None:
        self._kept = work / _KEPT
        self._taken = _Reached()
        try:
            if run.resumed and self._kept.is_file():
                self._go_on()
            else:
                self._begin(run)
        except _FAILURES as error:
            raise self._unusable(error) from error
        self._keep()
        page = f"{self._where}/#/experiments/{self._experiment}/runs/{self._run}"
        self._say(f"MLflow run: {page if self._on_server else self._run}")

    def on_step(self, report: StepReport) -> None:
        if report.step > self._taken.step:  # else it was sent before the run was interrupted
            self._put(report.step, step_figures(report))
            self._taken = replace(self._taken, step=report.step)
        if time.monotonic() >= self._next:
            self._send()

    def on_epoch(self, report: EpochReport) -> None:
        if report.epoch > self._taken.epoch:
            self._put(report.step, epoch_figures(report))
            self._taken = replace(self._taken, epoch=report.epoch)

    def on_end(self, run: RunRecord, folder: Path) -> None:
        if (folder / MANIFEST).is_file():
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            self._put(run.steps, final_figures(manifest))
        self._send()
        for name in _FILES:
            if (folder / name).is_file():
                self._client.log_artifact(self._run, str(folder / name))
        # A record that still says "running" is that of a killed run, which could not be resumed.
        self._client.set_terminated(self._run, _STATUS.get(run.status, "KILLED"))

    def _experiment_id(self) -> str:
        if named := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return str(self._client.get_experiment(named).experiment_id)
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "hilum")
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _begin(self, run: RunRecord) -> None:
        made = self._client.create_run(self._experiment, tags=_tags(run), run_name=run.name)
        self._run: str = made.info.run_id
        params = list(_params(run.recipe))
        for first in range(0, len(params), _PARAMS):
            self._client.log_batch(self._run, params=params[first : first + _PARAMS])

    def _go_on(self) -> None:
        kept = json.loads(self._kept.read_text(encoding="utf-8"))
        self._run = kept["run"]
        self._taken = _Reached(kept["step"], kept["epoch"])
        self._client.update_run(self._run, status="RUNNING")

    def _put(self, step: int, figures: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        self._waiting += [Metric(_name(key), value, now, step) for key, value in figures.items()]

    def _send(self) -> None:
        """Raises whatever MLflow raises; what was not sent then waits, longer each time."""
        self._pause = min(2 * self._pause, _LONGEST)
        self._next = time.monotonic() + self._pause
        while self._waiting:
            batch = [self._waiting[i] for i in range(min(_METRICS, len(self._waiting)))]
            self._client.log_batch(self._run, metrics=batch)
            for _ in batch:
                self._waiting.popleft()
        self._pause = _EVERY
        self._next = time.monotonic() + self._pause
        self._keep()

    def _keep(self) -> None:
        """Write down where this run is, and how far it is sent, for when it is resumed."""
        with replacing(self._kept) as draft:
            draft.write_text(json.dumps({"run": self._run, **asdict(self._taken)}))

    def _unusable(self, error: Exception) -> HilumError:
        why = one_line(error)
        if gone := re.search("Connection refused|timed out|Name or service not known", str(error)):
            why = f"does not answer ({gone.group()})"
        remedy = "see to it, set MLFLOW_TRACKING_URI to another, or leave out --track mlflow"
        if not self._on_server:
            remedy = (
                "set MLFLOW_TRACKING_URI to a server, or 'pip install mlflow', which can keep runs "
                "in a file as mlflow-skinny cannot"
            )
        return HilumError(f"MLflow at {self._where}", why, remedy=remedy)


def _tags(run: RunRecord) -> dict[str, str]:
    synthetic = "SYNTHETIC: no patient stands behind these images. " if run.synthetic else ""
    tags = {
        "mlflow.note.content": synthetic + NOT_A_DEVICE,
        "mlflow.source.name": run.command,
        "mlflow.source.type": "LOCAL",
        "source": run.source,
        "synthetic": str(run.synthetic).lower(),
        "data_digest": run.data_digest,
        "commit": run.commit or "none",
        "hilum": run.versions["hilum"],
        "accelerator": run.machine.accelerator,
    }
    if run.commit:
        tags["mlflow.source.git.commit"] = run.commit
    return tags


def _params(recipe: Mapping[str, Any]) -> Iterator[Param]:
    for key, value in flattened(recipe):
        text = value if isinstance(value, str) else json.dumps(value)
        yield Param(_name(key), text if len(text) <= _VALUE else text[: _VALUE - 1] + "…")


def _name(key: str) -> str:
    """As MLflow takes it: at most 250 of these characters."""
    return re.sub(r"[^\w\-. /]", "_", key)[:250]
