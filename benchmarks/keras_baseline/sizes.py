"""How much disk a package takes with all that it needs: `python sizes.py 'hilum[train]'`.

Run in the environment that is measured; standard library and `packaging`. Compiled bytecode is
left out, since some installers write it and some do not.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CUDA = ("nvidia-", "cuda-", "triton")


def needed(wanted: str) -> dict[str, Distribution]:
    """Every installed distribution that the requirement leads to, by name."""
    found: dict[str, Distribution] = {}
    waiting, seen = [Requirement(wanted)], set()
    while waiting:
        each = waiting.pop()
        for extra in ("", *sorted(each.extras)):
            key = canonicalize_name(each.name), extra
            if key in seen:
                continue
            seen.add(key)
            try:
                here = distribution(each.name)
            except PackageNotFoundError:
                continue  # of another platform, or replaced by an equal
            found[key[0]] = here
            asked = [Requirement(line) for line in here.requires or ()]
            waiting += [
                one for one in asked if one.marker is None or one.marker.evaluate({"extra": extra})
            ]
    return found


def files_of(each: Distribution) -> set[Path]:
    files = {Path(str(each.locate_file(file))) for file in each.files or ()}
    spec = find_spec("hilum") if canonicalize_name(each.name) == "hilum" else None
    if spec and spec.origin:  # installed in place: no list names its files
        files |= set(Path(spec.origin).parent.rglob("*"))
    return {file.resolve() for file in files if file.suffix != ".pyc" and file.is_file()}


def main() -> None:
    parts = {name: files_of(each) for name, each in needed(sys.argv[1]).items()}
    total = sum(file.stat().st_size for file in set().union(*parts.values()))
    largest = sorted(
        ((sum(file.stat().st_size for file in files), name) for name, files in parts.items()),
        reverse=True,
    )
    print(
        json.dumps(
            {
                "wanted": sys.argv[1],
                "mb": total / 1e6,
                "packages": len(parts),
                "cuda_mb": sum(size for size, name in largest if name.startswith(CUDA)) / 1e6,
                "largest_mb": {name: round(size / 1e6, 1) for size, name in largest[:8]},
            }
        )
    )


if __name__ == "__main__":
    main()
