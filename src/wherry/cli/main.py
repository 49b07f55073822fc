"""The edge of the program: what a command raises becomes a message and an exit code.

=== ==========================================================
0   done
1   a verdict failed: nothing was released
2   wrong use: an option, a file, a setting
3   something broke
130 interrupted from the keyboard
141 the reader of the output has gone
=== ==========================================================
"""

from __future__ import annotations

import os
import sys

from typer.exceptions import TyperException

from wherry.cli.app import app
from wherry.cli.output import READER_GONE, report_error
from wherry.errors import UsageError, WherryError

INTERRUPTED = 130


def _report_interruption(as_json: bool) -> None:
    words = "Interrupted. What was done is kept; run again to go on."
    report_error(words, "Interrupted", as_json=as_json)


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    as_json = "--json" in sys.argv
    try:
        # Typer words what is wrong with the options by itself, but not as JSON.
        code = app(standalone_mode=not as_json)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _report_interruption(as_json)
        raise
    except TyperException as error:
        report_error(error.format_message(), UsageError.__name__, as_json=as_json)
        sys.exit(UsageError.exit_code)
    except WherryError as error:
        report_error(str(error), type(error).__name__, as_json=as_json)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _report_interruption(as_json)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(READER_GONE)
    except OSError as error:
        words = f"{error}. Make room or give the rights that are missing, then run again."
        report_error(words, type(error).__name__, as_json=as_json)
        sys.exit(WherryError.exit_code)
    except Exception as error:  # noqa: BLE001  the edge: it is reported, and the code says so
        if os.environ.get("WHERRY_DEBUG"):
            sys.excepthook(type(error), error, error.__traceback__)
        words = f"{type(error).__name__}: {error}\nFor the whole story set WHERRY_DEBUG=1."
        report_error(words, type(error).__name__, as_json=as_json)
        sys.exit(WherryError.exit_code)
