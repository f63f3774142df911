"""OpenVINO without its telemetry, and its one core: the one place that imports it.

On import OpenVINO's converter reports to an analytics service and leaves an identifier in the home
folder. Beside patients' films nothing may call out, so the reporting package is made absent first;
OpenVINO then uses the stub it keeps for that case.
"""

from __future__ import annotations

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402 - only after the line above
from openvino import opset13 as opset  # noqa: E402
from openvino import passes  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402

__all__ = ["CORE", "FrontEndManager", "openvino", "opset", "passes"]

# One for as long as the process lives. The first that compiles for this processor gives its thread
# a stack for signals, which is unmapped with the core, in whatever thread that ends: the next
# signal then ends the process.
CORE = openvino.Core()
