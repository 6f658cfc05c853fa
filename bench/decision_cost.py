"""What does a request cost in processor time, without HTTP, in this version and in others?

    python bench/decision_cost.py [CHECKOUT ...]            (after make pipeline; about a minute for each checkout)

A checkout is a folder with another version of this repository, such as one of `git worktree add`. It reads its own
`data/`; without one, that of this version, if it can. Each version is a process that calls its WSGI application; they
take turns, so a busy machine slows all of them. Printed are the smallest and the median turn, with the wait for the
disk and without: after a wait, the caches of the processor are cold, and all that follows takes longer.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
TURNS, CALLS = 15, 20
ORDER = {"order_id": "o1", "user_id": "u00007", "merchant_id": "m00012", "amount": 300.0}
#: The orders of a list: of 500 users, at 60 merchants.
LIST = [
    {"order_id": f"o{n}", "user_id": f"u{n * 7 % 500:05}", "merchant_id": f"m{n * 11 % 60:05}", "amount": 300.0}
    for n in range(1000)
]
#: Method, path, body, and how many answers one call gives.
REQUESTS = {
    "an empty answer": ("OPTIONS", "/api/v1/decisions/chargeback", b"", 1),
    "daily": ("GET", "/daily-risk-decision/1001/", b"", 1),
    "chargeback": ("POST", "/api/v1/decisions/chargeback", json.dumps(ORDER).encode(), 1),
    "each of a list of 1,000": ("POST", "/api/v1/decisions/chargeback", json.dumps(LIST).encode(), len(LIST)),
}


def environment(method: str, path: str, body: bytes) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "5000", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1:5000",
        "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.errors": sys.stderr, "wsgi.multithread": True,
        "wsgi.multiprocess": True, "wsgi.run_once": False, "wsgi.input_terminated": True,
    }  # fmt: skip


def call(app: Any, name: str) -> None:
    statuses: list[str] = []
    answer = app(environment(*REQUESTS[name][:3]), lambda status, headers, exc_info=None: statuses.append(status))
    text = b"".join(answer)
    answer.close()
    if statuses[0][:3] != "200":
        raise SystemExit(f"{name}: {statuses[0]} {text[:300]!r}. Run make pipeline first.")


def serve_turns(checkout: str) -> None:
    """Be a version: for each line of standard input, print the µs of processor time of an answer."""
    sys.path[:0] = [checkout, f"{checkout}/feature_repo", f"{checkout}/stores"]
    os.chdir(checkout)
    import app

    application, sync = app.create_app(), os.fsync
    for line in sys.stdin:
        does_sync, name = json.loads(line)
        os.fsync = sync if does_sync else lambda file: None  # type: ignore[assignment]
        answers = REQUESTS[name][3]
        calls = max(1, CALLS // answers)
        for _ in range(min(3, calls)):
            call(application, name)
        begin = time.process_time_ns()
        for _ in range(calls):
            call(application, name)
        print((time.process_time_ns() - begin) / 1000 / calls / answers, flush=True)


def turn(version: "subprocess.Popen[str]", does_sync: bool, name: str) -> float:
    assert version.stdin
    assert version.stdout
    version.stdin.write(json.dumps([does_sync, name]) + "\n")
    version.stdin.flush()
    return float(version.stdout.readline())


def main() -> None:
    from printing import print_table

    import settings

    checkouts = [str(PROJECT), *(str(Path(name).resolve()) for name in sys.argv[1:])]
    with tempfile.TemporaryDirectory() as scratch:
        versions = []
        for number, checkout in enumerate(checkouts):
            root = Path(scratch) / str(number)
            root.mkdir()
            own = Path(checkout) / "data"
            for part in (own if own.exists() else settings.root().path).iterdir():
                if not part.name.startswith("decisions"):  # the audit log keeps no decisions of this benchmark
                    (root / part.name).symlink_to(part)
            command = [sys.executable, __file__, "--serve", checkout]
            environ = {**os.environ, "RISK_DATA": str(root)}
            versions.append(
                subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        rows = []
        for name in REQUESTS:
            for does_sync in (True, False):
                turns = [[turn(version, does_sync, name) for version in versions] for _ in range(TURNS)]
                for checkout, times in zip(checkouts, zip(*turns, strict=True), strict=True):
                    low, middle = (f"{value:,.0f}" for value in (min(times), statistics.median(times)))
                    rows.append((name, "yes" if does_sync else "no", checkout, low, middle))
        for version in versions:
            version.communicate()
    print_table(("request", "synced", "version", "µs, smallest", "µs, median"), rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_turns(sys.argv[2])
    else:
        sys.path.insert(0, str(PROJECT))
        main()
