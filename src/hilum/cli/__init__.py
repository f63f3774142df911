"""The command line: one small module a verb; here errors become one line and an exit code.

0 done, 1 failed, 2 wrong usage or bad input. A traceback is shown with `--debug` alone.
"""

from __future__ import annotations

import sys

from hilum.errors import HilumError

INTERRUPTED = 130


def main() -> None:
    """Entry point of `hilum`."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    sys.exit(run(arguments, debug=debug))


def run(arguments: list[str], *, debug: bool = False) -> int:
    """Run one command and return its exit code."""
    from hilum.cli.app import app

    try:
        app(arguments, prog_name="hilum")
    except SystemExit as stop:
        if stop.code == INTERRUPTED:  # the command-line library ends in silence
            print("hilum: interrupted", file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else 1
    except HilumError as error:
        if debug:
            raise
        print(f"hilum: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hilum: interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        print(f"hilum: {where}{error.strerror or error}", file=sys.stderr)
        return 2
    except Exception as error:
        if debug:
            raise
        line = " ".join(str(error).split())[:300]
        print(
            f"hilum: internal error, {type(error).__name__}: {line}; "
            "run again with --debug for the traceback",
            file=sys.stderr,
        )
        return 1
    return 0
