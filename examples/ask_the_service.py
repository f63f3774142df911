"""Ask a running service about films, as a viewer or a work list would; only Python is needed.

    hilum serve models/pneumoniamnist
    python ask_the_service.py film.dcm film.png --out answers

Each film becomes NAME.json, the answer, and NAME.png, the overlay that shows where it looked.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

TRIES = 5


def post(url: str, film: bytes) -> bytes:
    """What the service says of one film; it is asked again when it is too busy.

    Raises HTTPError for everything else that is refused; its body is a problem in JSON.
    """
    headers = {"content-type": "application/octet-stream"}  # the content tells what it is
    if token := os.environ.get("HILUM_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    for attempt in range(1, TRIES + 1):
        try:
            with urlopen(Request(url, film, headers), timeout=60) as answer:
                return bytes(answer.read())
        except HTTPError as refused:
            if refused.code != 503 or attempt == TRIES:
                raise
            time.sleep(float(refused.headers.get("retry-after", attempt)))
    raise AssertionError("not reached")


def ask(service: str, film: Path, out: Path) -> str:
    """Keep answer and overlay of one film in `out`; return a line about it."""
    content = film.read_bytes()
    try:
        said: dict[str, Any] = json.loads(post(f"{service}/v1/predict", content))
        overlay = post(f"{service}/v1/explain", content)
    except HTTPError as refused:
        return f"{film}: no answer, {json.load(refused)['detail']}"
    (out / f"{film.name}.json").write_text(json.dumps(said, indent=2), encoding="utf-8")
    (out / f"{film.name}.png").write_bytes(overlay)
    first = said["films"][0]["findings"][0]
    # A film that is referred has a probability, but nobody should act on it.
    decision = f"refer: {first['refer']['meaning']}" if first["refer"] else first["decision"]
    return f"{film}: {first['finding']} {first['probability']:.3f}, {decision}"


def main() -> None:
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    asked.add_argument("films", type=Path, nargs="+")
    asked.add_argument("--service", default="http://127.0.0.1:8000")
    asked.add_argument("--out", type=Path, default=Path("answers"))
    told = asked.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    for film in told.films:
        try:
            print(ask(told.service.rstrip("/"), film, told.out))
        except URLError as error:
            sys.exit(f"{told.service}: no service answers there ({error.reason})")
    print("Research use only: not a medical device.")


if __name__ == "__main__":
    main()
