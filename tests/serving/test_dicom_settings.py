"""What is refused before a socket is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from hilum.serving.dicom.settings import (
    DicomPeer,
    DicomSettings,
    DicomSettingsError,
    WebPeer,
    destination,
)

PEER = DicomPeer("ARCHIVE", "127.0.0.1", 104)


def test_destinations_are_told_by_their_scheme() -> None:
    assert destination("dicom://ARCHIVE@10.0.0.9:104") == DicomPeer("ARCHIVE", "10.0.0.9", 104)
    assert destination("https://pacs/dicom-web/") == WebPeer("https://pacs/dicom-web")
    assert destination("http://127.0.0.1:8042/x") == WebPeer("http://127.0.0.1:8042/x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://pacs/dicom-web", "plain http"),
        ("https://user:secret@pacs/x", "a password in an address"),
        ("dicom://10.0.0.9:104", "expected dicom://AE@host:port"),
        ("dicom://A@host", "expected dicom://AE@host:port"),
        ("ftp://pacs", "expected dicom://AE@host:port"),
        ("dicom://MUCH_TOO_LONG_A_TITLE@host:1", "1 to 16"),
        ("dicom://A@host:99999", "expected dicom://AE@host:port"),
    ],
)
def test_a_destination_that_is_not_safe_or_not_one_is_refused(text: str, said: str) -> None:
    with pytest.raises(DicomSettingsError, match=said) as refused:
        destination(text)
    assert "secret" not in str(refused.value)


def test_a_token_is_not_shown() -> None:
    assert "hush" not in repr(destination("https://pacs/x", token="hush"))


def test_other_machines_are_let_in_only_by_both_lists(tmp_path: Path) -> None:
    with pytest.raises(DicomSettingsError, match="both allow lists"):
        DicomSettings(tmp_path, PEER, 11112, host="0.0.0.0", callers=("CT1",))
    DicomSettings(tmp_path, PEER, 11112, host="0.0.0.0", callers=("CT1",), peers=("10.1.0.0/16",))


@pytest.mark.parametrize(
    "wrong",
    [{"peers": ("hospital",)}, {"callers": ("",)}, {"title": "a\\b"}, {"port": 70000},
     {"refusals": 0}, {"seconds": 0}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(DicomSettingsError):
        DicomSettings(tmp_path, PEER, **{"port": 11112, **wrong})  # type: ignore[arg-type]
