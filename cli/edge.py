"""The one place that turns an error into a message on stderr and an exit code."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from cli.exit_codes import ExitCode
from errors import RiskError
from files import fault, is_file_fault, keep_from_others

#: These need no name of a file to be understood.
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
#: Where the system's own words mislead.
_WORDS = {
    errno.EEXIST: "This is a file, and a folder is needed",
    errno.ENOTDIR: "A part of this path is a file, and a folder is needed",
    errno.EISDIR: "This is a folder, and a file is needed",
}


class Command(click.Command):
    """A command that is started as a process. An error of the user gives one message and no traceback; an error that
    nobody foresaw gives its traceback."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command and raise SystemExit. With `standalone_mode=False`, raise errors as they are, for tests."""
        keep_from_others()
        if not standalone_mode:
            return super().main(args, prog_name, standalone_mode=False, **extra)
        try:
            result = super().main(args, prog_name, standalone_mode=False, **extra)
            sys.stdout.flush()  # a broken pipe shows here, and not when Python has begun to end
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(ExitCode.INTERRUPTED)
        except RiskError as error:
            _fail(f"{error.name}: {error.message}", getattr(error, "exit_code", ExitCode.FAILED))
        except OSError as error:
            _os_error(error)
        except Exception as error:
            if not is_file_fault(error):
                raise
            _fail(f"Error: {fault(error)}", ExitCode.FAILED)
        sys.exit(result if isinstance(result, int) else ExitCode.OK)


class Group(Command, click.Group):
    """Commands that are started as one process, listed in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.commands)


def _os_error(error: OSError) -> NoReturn:
    """The user corrects a path that is missing, forbidden or of the wrong kind. Anything else is raised again."""
    if error.errno == errno.EPIPE:  # whoever read our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    if error.errno in _DISK_FULL:
        name = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
        _fail(f"Error: {name}{error.strerror}. Free some space and run the command again.", ExitCode.FAILED)
    if error.errno in (errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE):
        _fail(f"Error: {fault(error)}", ExitCode.FAILED)
    if error.filename is not None:
        words = _WORDS.get(error.errno or 0, error.strerror)
        advice = "Give a path that exists and that you may read and write."
        _fail(f"Error: {os.fsdecode(error.filename)}: {words}. {advice}", ExitCode.FAILED)
    if error.errno is not None:
        _fail(f"Error: {fault(error)}", ExitCode.FAILED)
    raise error


def _fail(message: str, exit_code: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(exit_code)
