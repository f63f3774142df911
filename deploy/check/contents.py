"""Tells, as JSON, what an image of Hilum holds. Run in it by scripts/check-container, which judges.

No package beyond Python's own is imported.
"""

import importlib.metadata
import importlib.util
import json
import os
import shutil
import stat
from pathlib import Path

PROGRAMS = ("gcc", "cc", "g++", "ld", "as", "make", "pip", "pip3", "apt-get", "perl", "su")
MODULES = ("torch", "pip", "setuptools", "wheel", "hatchling", "ensurepip", "cyclonedx_py")
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin:/opt/hilum/bin"

bill = json.loads(Path("/opt/hilum/sbom.cdx.json").read_text())
listed = {
    (each["name"].lower(), each["version"])
    for each in (*bill["components"], bill["metadata"]["component"])
}
installed = {
    (each.metadata["Name"].lower(), each.version) for each in importlib.metadata.distributions()
}
# Programs that run with another's rights than the caller's.
raised = [
    f"{folder}/{name}"
    for top in ("/usr", "/opt", "/app", "/etc")
    for folder, _, names in os.walk(top)
    for name in names
    if os.lstat(f"{folder}/{name}").st_mode & (stat.S_ISUID | stat.S_ISGID)
]
told = {
    "programs": [name for name in PROGRAMS if shutil.which(name, path=PATH)],
    "modules": [name for name in MODULES if importlib.util.find_spec(name)],
    "raised": raised,
    "uid": os.getuid(),
    "packages": len(listed),
    "differ": sorted(map(list, installed ^ listed)),
    "serial": bill.get("serialNumber"),
    "format": f"{bill['bomFormat']} {bill['specVersion']}",
}
print(json.dumps(told))
