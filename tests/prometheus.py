"""A real Prometheus that reads a service, and what it says."""

import json
import os
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import WAIT_SECONDS, run, started
from servers import answering

import settings

DEPLOY = settings.PROJECT / "deploy"


def program(name: str = "prometheus") -> str:
    """Path of a program of Prometheus. A machine without it skips the test; CI fails, which must not pass by
    skipping."""
    if path := shutil.which(name):
        return path
    message = f"{name} is not on PATH. `make prometheus` installs it."
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now. Fails where it is no expression."""
        result: list[dict[str, Any]] = self._get(f"query?{urllib.parse.urlencode({'query': expression})}")["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Every rule, and how its last evaluation went."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}", timeout=WAIT_SECONDS) as answer:
            return json.load(answer)["data"]


@contextmanager
def reading(target: str, key: str, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with our configuration that reads `target` with an API key, often, with its data in a folder."""
    text = (DEPLOY / "prometheus.yml").read_text()
    (folder / "risk-key").write_text(key)
    config = text.replace("127.0.0.1:5000", target).replace("15s", "1s").replace("# authorization", "authorization")
    config = config.replace("#   credentials_file: /etc/prometheus", f"  credentials_file: {folder}")
    assert target in config
    assert f"      credentials_file: {folder}/risk-key" in config
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(DEPLOY / "alerts.yml", folder)
    run([program("promtool"), "check", "config", folder / "prometheus.yml"])
    command = [program(), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with answering(
        lambda port: started([*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder), "/-/ready"
    ) as server:
        yield Prometheus(server.url)
