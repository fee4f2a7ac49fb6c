"""The one place that ends the process."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from sealift import console, environment, process
from sealift.errors import InterruptedReleaseError, OutsideError, SealiftError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
# How long what clears away may take, in seconds. What is left then ends with us: programs are killed by the
# kernel, services and containers by the supervisor that waits for our end.
CLEARING_SECONDS = 30.0
ENDING = (signal.SIGINT, signal.SIGTERM)
# Variables of Python that neither add code nor take any away.
WITHOUT_EFFECT = {
    *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"),
    *("PYTHONFAULTHANDLER", "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONCOERCECLOCALE", "PYTHONMALLOC"),
}
# Also where sealift itself was found by PYTHONPATH.
AGAIN = (
    "import sys; root = sys.argv.pop(1); root in sys.path or sys.path.insert(0, root);"
    " from sealift.__main__ import main; main()"
)


def main() -> None:
    """Run the command line and exit with its code."""
    _isolate()
    listen()
    console.write_every_character()
    console.take_over()
    os.environ["PATH"] = environment.search_path()
    # What is built here and then believed is written by this user alone.
    os.umask(os.umask(0o022) | 0o022)
    try:
        environment.check()
        from sealift.cli import app

        app(prog_name="sealift")
    except SealiftError as error:
        _fail(error)
    except OSError as error:
        if (full := _full(error)) is None:
            raise
        _fail(_no_room(full))
    except (SystemExit, KeyboardInterrupt) as ended:
        if isinstance(ended, SystemExit) and ended.code != InterruptedReleaseError.exit_code:
            raise
        _end_all()


def _isolate() -> None:
    """Start again in a Python that reads no setting of its user, where one could change what runs here.

    That is a variable (PYTHONPATH, PYTHONOPTIMIZE, PYTHONWARNINGS), the repository as a place of modules
    (``python -m``), or a locale whose encoding is not that of git and of all files that we read.
    """
    set_by_user = {name for name in os.environ if name.startswith("PYTHON")} - WITHOUT_EFFECT
    utf8 = sys.getfilesystemencoding() == "utf-8"
    if sys.flags.isolated or (utf8 and not (set_by_user or _imports_from_here() or sys.flags.optimize)):
        return
    unwritten = ["-B"] if sys.flags.dont_write_bytecode else []
    options = ["-I", *unwritten, "-X", "utf8", "-c", AGAIN, str(Path(__file__).parents[1])]
    os.execv(sys.executable, [sys.executable, *options, *sys.argv[1:]])  # noqa: S606 - no shell is wanted


def _imports_from_here() -> bool:
    with contextlib.suppress(FileNotFoundError):  # the current folder was removed
        return sys.path[:1] in ([""], [str(Path.cwd())])
    return False


def _end_all() -> NoReturn:
    # Python waits for its threads before it ends, and they for their programs.
    process.end_all()
    for sign in ENDING:
        # Python gives up its own handlers before it ends; no program is started any more.
        signal.signal(sign, signal.SIG_IGN)
    sys.exit(InterruptedReleaseError.exit_code)


def _fail(error: SealiftError) -> None:
    console.say(f"sealift: {error}")
    sys.exit(error.exit_code)


def _full(error: OSError) -> OSError | None:
    """Return the error of a full disk; of those of a whole tree, shutil gathers the words alone."""
    if error.errno in NO_ROOM:
        return error
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        for (_, to, why), number in itertools.product(error.args[0], NO_ROOM):
            if why.startswith(f"[Errno {number}]"):
                return OSError(number, os.strerror(number), os.fspath(to))
    return None


def _no_room(error: OSError) -> SealiftError:
    """Say that a disk is full: it can be anywhere, and is nobody's defect."""
    where = error.filename or "a temporary file"
    return OutsideError(
        f"{where} could not be written: {error.strerror}",
        means="a disk is full; nothing half-done has a name that looks finished",
        next_step="make room (df -h shows where), then run the same again to go on",
    )


def listen() -> None:
    """End once when we are told to, in good order: whoever says it again disturbs nothing."""
    for sign in ENDING:
        # A shell lets what it starts in the background ignore Ctrl-C.
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    for sign in ENDING:
        # Not SIG_IGN, which the programs that clear away would inherit.
        signal.signal(sign, _already)
    signal.signal(signal.SIGALRM, _give_up)
    signal.setitimer(signal.ITIMER_REAL, CLEARING_SECONDS)
    name, limit = signal.Signals(number).name, f"{CLEARING_SECONDS:g} s"
    _tell(f"sealift: {name}: what was started is ended, which takes {limit} at most")
    _tell("  next: run the same again to go on")
    # Not an error of ours, which somebody who expects one might take for theirs.
    raise KeyboardInterrupt


def _already(_number: int, _frame: FrameType | None) -> None:
    _tell("sealift: it is ending already; saying it again changes nothing")


def _give_up(_number: int, _frame: FrameType | None) -> None:
    _tell(f"sealift: not everything ended within {CLEARING_SECONDS:g} s; the rest is killed")
    os._exit(InterruptedReleaseError.exit_code)


def _tell(words: str) -> None:
    # Whoever was interrupted may hold the console's lock; and nobody may be there to read it, so that a pipe
    # that is full would hold us for ever.
    with contextlib.suppress(OSError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{words}\n".encode())


if __name__ == "__main__":
    main()
