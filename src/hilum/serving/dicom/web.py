"""The way to a DICOMweb server: no redirect is followed, TLS is verified, answers are bounded.

What is asked of it is left to `sending` and `pulling`.
"""

from __future__ import annotations

from typing import Any

import requests
from dicomweb_client.api import DICOMwebClient

from hilum.serving.dicom.settings import WebPeer

JSON_LIMIT = 8 << 20
_CHUNK = 1 << 16


class WebFault(requests.RequestException):
    """The server answered in a way that is not taken. The words quote nothing of it."""


class GuardedSession(requests.Session):
    """A session to one server. `limit`: bytes of an answer's body, after decompression."""

    def __init__(self, peer: WebPeer, seconds: float) -> None:
        super().__init__()
        self.trust_env = False  # neither a proxy nor a password out of the environment
        self.verify = str(peer.ca) if peer.ca else True
        self.limit = JSON_LIMIT
        self._seconds = seconds
        if peer.token:
            self.headers["Authorization"] = f"Bearer {peer.token}"

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        """Raises WebFault, and what requests raises."""
        how |= {"allow_redirects": False, "stream": True, "timeout": self._seconds}
        response = super().send(request, **how)
        with response:
            if response.is_redirect:
                raise WebFault("a redirect, which is not followed")
            body = bytearray()
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > self.limit:
                    raise WebFault(f"an answer of more than {self.limit:,} bytes")
        response._content = bytes(body)
        return response


def client_of(session: GuardedSession, peer: WebPeer) -> DICOMwebClient:
    """The client for queries and for storing; retries are ours."""
    client = DICOMwebClient(peer.url, session=session)
    client.set_http_retry_params(retry=False)
    return client
