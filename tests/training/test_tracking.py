"""Runs told to a real MLflow server and to TensorBoard's files, and read back from there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hilum.data.sources.phantom import phantom_cohort
from hilum.errors import HilumError, MissingExtraError, StoppedError
from hilum.recipe import make_recipe
from hilum.training.metrics import METRICS, TABLE, write_metrics
from hilum.training.records import RECORD, Recording, RunRecord, recording
from hilum.training.tracking import final_figures, flattened, open_trackers
from hilum.training.watching import EpochReport, StepReport

LONG = "x" * 900


def record(**recipe: object) -> RunRecord:
    values = {"seed": 7, "train": {"epochs": 2}, "data": {"columns": {"label": LONG}}, **recipe}
    made = RunRecord.of("mine", make_recipe(values), phantom_cohort(40), "d" * 64, "cpu")
    return made.model_copy(update={"commit": "c" * 40})


def step(k: int) -> StepReport:
    return StepReport(k, 6, 1 + (k - 1) // 3, 1 / k, 10.0 * k, 1e-3 / k)


def epoch(k: int) -> EpochReport:
    return EpochReport(k, 2, 3 * k, 1e-3, 0.5 / k, 0.4 / k, 0.9, 10.0, 2.5, True, 0.4 / k)


def walk(run: Recording, first: int, last: int) -> None:
    """Steps from first to last, three an epoch."""
    for k in range(first, last + 1):
        run.on_step(step(k))
        if k % 3 == 0:
            run.on_epoch(epoch(k // 3))


def made_bundle(folder: Path) -> Path:
    """What of a bundle a tracker reads."""
    folder.mkdir()
    figures = {"calibrate": {"Pneumonia": {"auroc": {"value": 0.875}, "ece": {"value": None}}}}
    (folder / "bundle.json").write_text(json.dumps({"figures": figures}))
    (folder / "card.md").write_text("---\nlicense: mit\n---\n\n# mine")
    write_metrics(folder, [epoch(1), epoch(2)])
    return folder


# The server starts while the tests that need none run.


@pytest.fixture(scope="module", autouse=True)
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real MLflow server on its own port, with SQLite, that may not be up yet."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=os.environ | settings, start_new_session=True
        )
        yield port
        os.killpg(server.pid, 9)
        server.wait()


@pytest.fixture
def server(starting: int, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"http://127.0.0.1:{starting}"
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"{address}/health").close()
            break
        except urllib.error.URLError:
            assert time.monotonic() < deadline, "the MLflow server has not come up"
            time.sleep(0.1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", f"test {time.monotonic_ns()}")
    return address


@pytest.fixture
def promptly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send at each step, not every ten seconds."""
    monkeypatch.setattr("hilum.training.tracking.mlflow._EVERY", 0.0)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(server: str, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
    """What MLflow's REST interface answers."""
    url = f"{server}/api/2.0/mlflow/{path}?{urllib.parse.urlencode(query)}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def runs_on(server: str) -> list[dict[str, Any]]:
    name = os.environ["MLFLOW_EXPERIMENT_NAME"]
    found = asked(server, "experiments/get-by-name", experiment_name=name)
    body = {"experiment_ids": [found["experiment"]["experiment_id"]]}
    return list(asked(server, "runs/search", body).get("runs", []))


def history(server: str, run: dict[str, Any], metric: str) -> list[tuple[int, float]]:
    run_id = run["info"]["run_id"]
    found = asked(server, "metrics/get-history", run_id=run_id, metric_key=metric)
    return sorted((int(each["step"]), each["value"]) for each in found["metrics"])


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(HilumError, match="--track: 'wandb'; expected mlflow or tensorboard"):
        open_trackers(["wandb"], print)


@pytest.mark.parametrize("name", ["mlflow", "tensorboard"])
def test_a_tracker_that_is_not_installed_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.training.tracking.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'hilum\[{name}\]'"):
        open_trackers([name], print)


def test_a_tracker_named_twice_is_opened_once() -> None:
    assert len(open_trackers(["tensorboard", "tensorboard"], print)) == 1


def test_settings_have_their_full_names_and_lists_stay_whole() -> None:
    nested = {"a": {"b": {"c": 1}, "d": [1, 2]}, "e": {}}
    assert dict(flattened(nested)) == {"a.b.c": 1, "a.d": [1, 2], "e": {}}


def test_figures_without_a_value_are_left_out() -> None:
    manifest = {"figures": {"tune": {"Mass": {"auroc": {"value": 1.0}, "ece": {"value": None}}}}}
    assert final_figures(manifest) == {"tune/Mass/auroc": 1.0}


class Broken:
    """A tracker whose server is gone as soon as the run has begun."""

    def on_start(self, run: RunRecord, work: Path) -> None: ...

    def on_step(self, report: StepReport) -> None:
        raise RuntimeError("cannot reach\nhttp://anna:secret@tracking.example/api")

    on_epoch = on_step  # type: ignore[assignment]

    def on_end(self, run: RunRecord, folder: Path) -> None: ...


def test_a_tracker_that_fails_warns_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.training.tracking._opened", lambda *_: Broken())
    said: list[str] = []
    trackers = open_trackers(["mlflow"], said.append)
    with recording(tmp_path, record(), trackers=trackers) as run:
        walk(run, 1, 6)
    assert said == [
        "warning: mlflow: cannot reach http://tracking.example/api; training goes on without it; "
        "the figures are in metrics.csv"
    ]
    assert RunRecord.read(tmp_path).status == "done"


def events(logs: Path) -> EventAccumulator:
    (folder,) = (each for each in logs.iterdir())
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    found.Reload()
    return found


def scalars(found: EventAccumulator, name: str) -> list[tuple[int, float]]:
    return [(each.step, each.value) for each in found.Scalars(name)]


def test_tensorboard_has_every_step_every_epoch_and_the_card(tmp_path: Path) -> None:
    said: list[str] = []
    trackers = open_trackers(["tensorboard"], said.append)
    with recording(tmp_path / ".mine.run", record(), trackers=trackers) as run:
        walk(run, 1, 6)
        run.made(made_bundle(tmp_path / "mine"))
    assert said == [f"TensorBoard: tensorboard --logdir {tmp_path / 'tensorboard'}"]
    found = events(tmp_path / "tensorboard")
    assert scalars(found, "loss") == [(k, pytest.approx(1 / k)) for k in range(1, 7)]
    assert [k for k, _ in scalars(found, "learning_rate")] == [1, 2, 3, 4, 5, 6]
    assert scalars(found, "tune_log_loss") == [(3, pytest.approx(0.4)), (6, pytest.approx(0.2))]
    assert scalars(found, "calibrate/Pneumonia/auroc") == [(6, pytest.approx(0.875))]
    (about,) = found.Tensors("run/text_summary")
    assert b"SYNTHETIC" in about.tensor_proto.string_val[0]
    (card,) = found.Tensors("card/text_summary")
    assert card.tensor_proto.string_val == [b"# mine"]
    settings = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"train.epochs" in settings


def interrupt(work: Path, trackers: list[Any], last: int) -> None:
    with recording(work, record(), trackers=trackers) as run:
        walk(run, 1, last)
        raise StoppedError("training", "interrupted")


def test_tensorboard_goes_on_in_the_same_folder_and_shows_no_step_twice(tmp_path: Path) -> None:
    work = tmp_path / ".mine.run"
    with pytest.raises(StoppedError):
        interrupt(work, open_trackers(["tensorboard"], print), 5)
    trackers = open_trackers(["tensorboard"], print)
    with recording(work, record(), trackers=trackers, resume=True) as run:
        walk(run, 4, 6)  # from the checkpoint after the first epoch
    assert [k for k, _ in scalars(events(tmp_path / "tensorboard"), "loss")] == [1, 2, 3, 4, 5, 6]


def test_a_run_that_is_not_resumed_has_a_folder_of_its_own(tmp_path: Path) -> None:
    for started in ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:01+00:00"):
        trackers = open_trackers(["tensorboard"], print)
        new = record().model_copy(update={"started": started})
        with recording(tmp_path / ".mine.run", new, trackers=trackers) as run:
            walk(run, 1, 3)
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_a_server_that_is_down_is_told_in_one_line_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://anna:secret@127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(HilumError) as raised:
        open_trackers(["mlflow"], print)
    assert str(raised.value).startswith(
        f"MLflow at http://127.0.0.1:{port}: does not answer (Connection refused); see to it"
    )
    assert time.monotonic() - began < 30  # MLflow's own way is to try for four minutes


SILENT = """
import mlflow
from mlflow.telemetry import get_telemetry_client
assert get_telemetry_client() is not None, "MLflow no longer reports; see what can go"
import hilum.training.tracking.mlflow
assert get_telemetry_client() is None
from mlflow.telemetry.utils import is_telemetry_disabled
assert is_telemetry_disabled()
"""


@pytest.mark.slow
def test_mlflow_tells_its_makers_nothing(tmp_path: Path) -> None:
    """The first line of SILENT shows that it would."""
    spoken = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "DO_NOT_TRACK")
    known = {name: value for name, value in os.environ.items() if name not in spoken}
    settings = known | {"MLFLOW_DISABLE_TELEMETRY": "false", "HOME": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", SILENT], env=settings, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def test_an_mlflow_server_has_the_whole_run(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    trackers = open_trackers(["mlflow"], said.append)
    with recording(tmp_path / ".mine.run", record(), trackers=trackers) as run:
        walk(run, 1, 6)
        bundle = made_bundle(tmp_path / "mine")
        run.write_done(bundle)
        run.made(bundle)
    (found,) = runs_on(server)
    run_id = found["info"]["run_id"]
    assert said[0].startswith(f"MLflow run: {server}/#/experiments/")
    assert said[0].endswith(f"/runs/{run_id}")
    assert (found["info"]["status"], found["info"]["run_name"]) == ("FINISHED", "mine")

    settings = {each["key"]: each["value"] for each in found["data"]["params"]}
    assert (settings["train.epochs"], settings["seed"]) == ("2", "7")
    assert settings["calibration.operating_points.sensitivity_95.target"] == "0.95"
    assert len(settings) == len(dict(flattened(record().recipe)))
    assert settings["data.columns.label"] == "x" * 499 + "…"

    tags = {each["key"]: each["value"] for each in found["data"]["tags"]}
    assert (tags["synthetic"], tags["data_digest"], tags["commit"]) == ("true", "d" * 64, "c" * 40)
    assert tags["mlflow.note.content"].startswith("SYNTHETIC")
    assert "not a medical device" in tags["mlflow.note.content"]

    assert history(server, found, "loss") == [(k, pytest.approx(1 / k)) for k in range(1, 7)]
    assert history(server, found, "images_per_s")[5] == (6, 60.0)
    assert history(server, found, "tune_log_loss") == [(3, 0.4), (6, 0.2)]
    assert history(server, found, "calibrate/Pneumonia/auroc") == [(6, 0.875)]

    listed = asked(server, "artifacts/list", run_id=run_id)["files"]
    names = {each["path"] for each in listed}
    assert names == {"card.md", "bundle.json", METRICS, TABLE, RECORD}
    assert capsys.readouterr().out == ""  # where the result goes


def test_a_resumed_run_is_the_same_run_on_the_server_with_no_step_twice(
    server: str, tmp_path: Path
) -> None:
    work = tmp_path / ".mine.run"
    with pytest.raises(StoppedError):
        interrupt(work, open_trackers(["mlflow"], print), 5)
    (found,) = runs_on(server)
    assert found["info"]["status"] == "KILLED"
    trackers = open_trackers(["mlflow"], print)
    with recording(work, record(), trackers=trackers, resume=True) as run:
        assert runs_on(server)[0]["info"]["status"] == "RUNNING"
        walk(run, 4, 6)
    (found,) = runs_on(server)
    assert found["info"]["status"] == "FINISHED"
    assert [k for k, _ in history(server, found, "loss")] == [1, 2, 3, 4, 5, 6]
    assert [k for k, _ in history(server, found, "tune_auroc")] == [3, 6]

    trackers = open_trackers(["mlflow"], print)
    with recording(work, record(), trackers=trackers):  # not resumed
        pass
    assert len(runs_on(server)) == 2


class Between:
    """Passes requests on to a server, and can be taken away."""

    def __init__(self, server: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def _pass(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                kinds = {"Content-Type": self.headers.get("Content-Type", "application/json")}
                request = urllib.request.Request(
                    server + self.path, self.rfile.read(length) or None, kinds, method=self.command
                )
                try:
                    with urllib.request.urlopen(request) as answer:
                        code, body = answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    code, body = error.code, error.read()
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = _pass

            def log_message(self, *_: object) -> None: ...

        self._handler, self.port = Handler, free_port()
        self.come()

    def come(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    def go(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.mark.usefixtures("promptly")
def test_a_server_that_goes_and_comes_back_misses_no_step(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    between, said = Between(server), list[str]()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{between.port}")
    try:
        trackers = open_trackers(["mlflow"], said.append)
        with recording(tmp_path, record(), trackers=trackers) as run:
            walk(run, 1, 2)
            (found,) = runs_on(server)
            assert [k for k, _ in history(server, found, "loss")] == [1, 2]
            between.go()
            walk(run, 3, 4)
            assert len(said) == 2
            assert said[1].startswith("warning: mlflow: ")
            assert said[1].endswith("training goes on without it; the figures are in metrics.csv")
            between.come()
            walk(run, 5, 6)
    finally:
        between.go()
    assert [k for k, _ in history(server, found, "loss")] == [1, 2, 3, 4, 5, 6]
    assert runs_on(server)[0]["info"]["status"] == "FINISHED"
    assert len(said) == 2


def test_a_run_that_the_server_no_longer_has_cannot_be_resumed_there(
    server: str, tmp_path: Path
) -> None:
    with pytest.raises(StoppedError):
        interrupt(tmp_path, open_trackers(["mlflow"], print), 2)
    kept = json.loads((tmp_path / "mlflow.json").read_text())
    (tmp_path / "mlflow.json").write_text(json.dumps(kept | {"run": "0" * 32}))
    said: list[str] = []
    trackers = open_trackers(["mlflow"], said.append)
    with (
        pytest.raises(HilumError, match=f"MLflow at {server}: .*0000"),
        recording(tmp_path, record(), trackers=trackers, resume=True),
    ):
        pass
    assert said == []
    assert RunRecord.read(tmp_path).status == "interrupted"  # and can be resumed without
