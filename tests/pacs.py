"""Films and PACSes that tests make for themselves: a small CR, a peer on a real socket, Orthanc."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt
from pynetdicom.sop_class import ComputedRadiographyImageStorage, Verification

from hilum.serving.dicom.settings import DicomPeer
from together import free_port

SR, SC = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.7"
# Planted in every film; none of it may be seen anywhere but in films and answers.
CANARIES = ("QUETZALCOATL", "CANARY4711", "19010203", "ACC0815", "HUITZILOPOCHTLI")


def made_film(seed: int = 0, *, side: int = 96, **elements: object) -> Dataset:
    """A CR with a bright chest-like blob, of a study of its own."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(-1, 1, side)
    lungs = np.exp(-((np.abs(grid)[None] - 0.4) ** 2 + grid[:, None] ** 2) * 6)
    grey = 2600 - 1800 * lungs + rng.normal(0, 60, (side, side))
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.SOPClassUID = film.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    film.StudyInstanceUID, film.SeriesInstanceUID = generate_uid(), generate_uid()
    film.PatientName, film.PatientID = f"{CANARIES[0]}^{seed}", CANARIES[1]
    film.PatientBirthDate, film.PatientSex = CANARIES[2], "F"
    film.AccessionNumber, film.StudyID = CANARIES[3], "1"
    film.ReferringPhysicianName = f"{CANARIES[4]}^DR"
    film.StudyDate, film.StudyTime = "20260302", "101500"
    film.Modality, film.BodyPartExamined, film.ViewPosition = "CR", "CHEST", "PA"
    film.PatientOrientation = ["L", "F"]
    film.SeriesNumber = film.InstanceNumber = 1
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.Rows = film.Columns = side
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 16, 12, 11, 0
    film.PixelData = grey.clip(0, 4095).astype("<u2").tobytes()
    for keyword, value in elements.items():
        setattr(film, keyword, value)
    return film


def send(
    port: int,
    *films: Dataset,
    called: str = "HILUM",
    calling: str = "MODALITY",
) -> list[int | None]:
    """Statuses of C-STORE, None where there was no answer."""
    ae = AE(calling)
    for film in films:
        syntax = film.file_meta.TransferSyntaxUID
        ae.add_requested_context(film.SOPClassUID, syntax)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return [None for _ in films]
    statuses = [association.send_c_store(film).get("Status") for film in films]
    association.release()
    return statuses


class Peer:
    """An archive on a real socket, which may be told to refuse. stored: SOP Instance UID → object

    times: how often each arrived; status: what it answers
    """

    def __init__(self, port: int | None = None) -> None:
        self.stored: dict[str, Dataset] = {}
        self.times: dict[str, int] = {}
        self.status = 0x0000
        self.port = port or free_port()
        self._server: Any = None
        self.begin()

    @property
    def address(self) -> DicomPeer:
        return DicomPeer("ARCHIVE", "127.0.0.1", self.port)

    def begin(self) -> None:
        ae = AE("ARCHIVE")
        ae.add_supported_context(Verification)
        for uid in (SR, SC):
            ae.add_supported_context(uid)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store)]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def end(self) -> None:
        self._server.shutdown()

    def _store(self, event: evt.Event) -> int:
        if self.status == 0:
            made = event.dataset
            made.file_meta = event.file_meta
            uid = str(made.SOPInstanceUID)
            self.times[uid] = self.times.get(uid, 0) + 1
            self.stored[uid] = made
        return self.status

    def kinds(self) -> list[str]:
        return sorted(str(each.SOPClassUID) for each in self.stored.values())


def until(happened: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


class Process:
    """`hilum serve --dicom`, to be killed. What it logs at DEBUG goes to `log`."""

    def __init__(self, bundle: Path, folder: Path, to: str, *more: str | Path) -> None:
        self.log = folder.with_suffix(".log")
        self._command = [
            sys.executable, "-m", "hilum", "serve", str(bundle), "--port", "0", "--decoders", "1",
            "--log", "debug", "--dicom", "0", "--dicom-to", to, "--dicom-folder", str(folder),
            *map(str, more),
        ]  # fmt: skip
        self.begin()

    def begin(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert self._process.stdout is not None
        with self._process.stdout as said:
            self.greeting = said.readline()
        http = re.search(r"http://\S+", self.greeting)
        dicom = re.search(r"dicom://HILUM@127.0.0.1:(\d+)", self.greeting)
        assert http, self.log.read_text()
        assert dicom, self.greeting
        self.url, self.port = http[0], int(dicom[1])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            code = self._process.wait(30)
            assert code == 0, (code, self.log.read_text()[-2000:])


class Orthanc:
    """Orthanc with DICOMweb, in a network of its own: it listens on every address.

    Before its HTTP stands a server of TLS, as in a hospital; Debian's Orthanc falls over with its
    own.
    """

    def __init__(self, host: str, port: int, certificate: Path) -> None:
        self.certificate = certificate
        self.root = f"https://127.0.0.1:{port}"
        self.web = f"{self.root}/dicom-web"
        self.dicom = f"dicom://ORTHANC@{host}:4242"
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy lies between
        self._session.verify = str(certificate)

    def get(self, path: str) -> Any:
        answer = self._session.get(self.root + path, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def file(self, instance: str) -> bytes:
        return self._session.get(f"{self.root}/instances/{instance}/file", timeout=30).content

    def store(self, content: bytes) -> None:
        self._session.post(f"{self.root}/instances", data=content, timeout=30).raise_for_status()

    def found(self, **query: str) -> list[dict[str, Any]]:
        """QIDO-RS for instances."""
        answer = self._session.get(
            f"{self.web}/instances", params=query, timeout=30,
            headers={"Accept": "application/dicom+json"},
        )  # fmt: skip
        answer.raise_for_status()
        return list(answer.json()) if answer.content else []


def lacking() -> str | None:
    """What a test against a real archive needs and this machine lacks."""
    for program in ("Orthanc", "dciodvfy", "dsrdump", "ip", "openssl"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if not Path("/usr/bin/storescu").exists():
        return "dcmtk's storescu is not installed"
    if os.geteuid() != 0:
        return "only root may make a network of its own"
    return None


def need_pacs() -> None:
    """Skip, or fail where HILUM_REQUIRE_PACS is set, without the programs of a real archive."""
    message = lacking()
    if message is None:
        return
    if os.environ.get("HILUM_REQUIRE_PACS"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def orthanc(folder: Path) -> Iterator[Orthanc]:
    """Run Orthanc in a network namespace, reached over a pair of virtual cables."""
    number = os.getpid() % 60000
    name, here, there = f"pacs{number}", f"ph{number}", f"pt{number}"
    net = f"10.{88 + number // 16384}.{number // 64 % 256}.{number % 64 * 4}"
    base = int(net.rsplit(".", 1)[1])
    first, second = (f"{net.rsplit('.', 1)[0]}.{base + n}" for n in (1, 2))
    certificate, key = folder / "cert.pem", folder / "key.pem"
    _run(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=orthanc",
        "-addext", "subjectAltName=IP:127.0.0.1",
    )  # fmt: skip
    told = {
        "Name": "ORTHANC", "DicomAet": "ORTHANC", "DicomPort": 4242, "HttpPort": 8042,
        "StorageDirectory": str(folder / "db"), "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False, "DicomAlwaysAllowStore": True,
        "Plugins": ["/usr/share/orthanc/plugins/libOrthancDicomWeb.so"],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(told))
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _run("ip", "addr", "add", f"{first}/30", "dev", here)
        _run("ip", "link", "set", here, "up")
        for words in (
            ("addr", "add", f"{second}/30", "dev", there),
            ("link", "set", there, "up"),
            ("link", "set", "lo", "up"),
        ):
            _run("ip", "-n", name, *words)
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(
                ["ip", "netns", "exec", name, "Orthanc", str(folder / "orthanc.json")],
                stdout=log, stderr=log,
            )  # fmt: skip
            try:
                with _tls_before(second, certificate, key) as port:
                    archive = Orthanc(second, port, certificate)
                    until(lambda: _answers(archive), 60)
                    yield archive
            finally:
                process.terminate()
                process.wait(60)
    finally:
        _run("ip", "netns", "del", name)


@contextmanager
def _tls_before(host: str, certificate: Path, key: Path) -> Iterator[int]:
    """A server of TLS on a free port of this machine, for the HTTP of another host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Pipe(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                with (
                    context.wrap_socket(self.request, server_side=True) as outside,
                    socket.create_connection((host, 8042)) as inside,
                ):
                    back = threading.Thread(target=_pour, args=(inside, outside))
                    back.start()
                    _pour(outside, inside)
                    back.join()
            except OSError:
                pass  # a client that does not trust the certificate, or one that is gone

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Pipe) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _answers(archive: Orthanc) -> bool:
    try:
        return bool(archive.get("/system"))
    except requests.RequestException:
        return False


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def validated(content: bytes, folder: Path) -> list[str]:
    """What dciodvfy finds wrong with a DICOM file."""
    file = folder / "validated.dcm"
    file.write_bytes(content)
    said = subprocess.run(["dciodvfy", str(file)], capture_output=True, text=True, check=False)
    return [line for line in (said.stderr + said.stdout).splitlines() if line.startswith("Error")]
