"""Asks the service in its own container, over loopback, and tells, as JSON, how it answered.

Argument: a DICOM file. It goes there by HTTP and C-STORE; an archive here takes what comes back.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from pydicom import dcmread
from pynetdicom import AE, evt

REPORT, PICTURE = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.7"
TOKEN = "a-token-for-this-check"
PATIENCE = 60.0


def status_of(path: str, body: bytes | None = None, *, token: str = "") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:8000{path}", body)
    request.add_header("content-type", "application/dicom")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def keep(event: evt.Event) -> int:
    back.append(str(event.dataset.SOPClassUID))
    return 0


film = Path(sys.argv[1])
back: list[str] = []
archive = AE("ARCHIVE")
archive.add_supported_context(REPORT)
archive.add_supported_context(PICTURE)
archive.start_server(("127.0.0.1", 4242), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])

data = dcmread(film)
modality = AE("MODALITY")
modality.add_requested_context(data.SOPClassUID, data.file_meta.TransferSyntaxUID)
association = modality.associate("127.0.0.1", 11112, ae_title="HILUM")
stored = association.send_c_store(data).get("Status") if association.is_established else None
association.release()
end = time.monotonic() + PATIENCE
while len(back) < 2 and time.monotonic() < end:
    time.sleep(0.1)

told = {
    "page": status_of("/"),
    "no token": status_of("/v1/predict", film.read_bytes()),
    "film": status_of("/v1/predict", film.read_bytes(), token=TOKEN),
    "metrics": status_of("/metrics", token=TOKEN),
    "stored": stored,
    "back": sorted(back),
}
print(json.dumps(told))
