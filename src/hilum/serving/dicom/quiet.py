"""Keeps what the DICOM and web libraries would write out of every log: they quote values.

What happened is told by `hilum.dicom`'s own lines, which name neither patient nor study.
"""

from __future__ import annotations

import logging

from pydicom import config
from pynetdicom import _config as pynetdicom_config

from hilum.data.radiograph import elements as _silenced  # noqa: F401 (pydicom's warnings)

_LIBRARIES = (
    "PIL", "dicomweb_client", "highdicom", "pydicom", "pynetdicom", "requests", "retrying",
    "urllib3",
)  # fmt: skip
_NONE = logging.CRITICAL + 1


def quieten() -> None:
    """Silence the libraries' loggers, whatever the root's level, and pydicom's checks of values.

    Values of other people's files are carried on as they stand, so a check could only complain.
    """
    for name in _LIBRARIES:
        # A logger below may have been given a level of its own.
        for known in [name, *logging.root.manager.loggerDict]:
            if known == name or known.startswith(name + "."):
                logging.getLogger(known).setLevel(_NONE)
    pynetdicom_config.LOG_HANDLER_LEVEL = "none"
    config.settings.reading_validation_mode = config.IGNORE
    config.settings.writing_validation_mode = config.IGNORE
