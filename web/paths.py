"""No answer names a folder of this machine. A message of an error may: the log keeps it whole, and a caller gets it
short."""

import re
from functools import cache
from pathlib import Path

#: What ends a path in a sentence. A path below the root may have spaces; another one is taken to have none.
_ENDS = r"\s'\"`,;:()\[\]{}<>|"


def shortened(message: str, root: Path) -> str:
    """The message with paths below the root as they are below it, and of other absolute paths the last part.

    >>> shortened("/srv/risk/online.db: disk full. Another: '/etc/ssl/key.pem'. See /apidocs/.", Path("/srv/risk"))
    "online.db: disk full. Another: 'key.pem'. See /apidocs/."
    """
    if "/" not in message:
        return message
    for place in dict.fromkeys((str(root), str(root.resolve()))):
        message = message.replace(f"{place}/", "")
        message = re.sub(rf"{re.escape(place)}(?![\w-])", "the root", message)
    return _absolute().sub(lambda match: match[1], message)


@cache
def _absolute() -> re.Pattern[str]:
    """A path that begins with a folder at the top of this machine. `/home/1001` is a page of ours; short, it is still
    a number. A path of the service, such as `/apidocs/`, begins with no such folder."""
    tops = "|".join(re.escape(folder.name) for folder in sorted(Path("/").iterdir()))
    return re.compile(rf"(?<![\w.-])/(?:{tops})(?:/[^/{_ENDS}]+)*/([^/{_ENDS}]*[^/{_ENDS}.])")
