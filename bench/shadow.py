"""What does a shadow add to the time of a decision?

    python bench/shadow.py            (after make pipeline; about two minutes)

alone   a server as it is
shadow  a server whose `chargeback` decisions are made a second time, by the same policy in a file of its own

Each contestant is a server with one process. They take turns, on 1 and 8 connections. Printed are medians of the turns,
and medians of the ratios to `alone` in the same round. `daily` has no shadow: its ratio says how noisy the machine is.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from turns import PROJECT, race, serving


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "chargeback.yaml"
        show = [sys.executable, "-m", "jobs", "policy", "chargeback", "show"]
        policy.write_bytes(subprocess.run(show, cwd=PROJECT, check=True, stdout=subprocess.PIPE).stdout)
        command = ["shadow", "chargeback", "--policy", str(policy)]
        with serving({"alone": "", "shadow": ""}, {"shadow": command}) as ports:
            race(ports, (1, 8), "alone")


if __name__ == "__main__":
    main()
