"""The hash key changes: people who were known stay known, on a real store."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import onboarding_root
import pandas as pd
import pytest
from click.testing import CliRunner
from fake import APPLICANT, unlogged

import settings
from app import create_app
from cli.exit_codes import ExitCode
from errors import BadSetting
from features.domains import risks
from hash_keys import claim_for_key, keys_of
from jobs.commands import jobs
from serving import lines
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow

OTHER = APPLICANT | {"dl": "E1234567"}
VIEWS = {"ssn": "driver_ssn_entities", "dl": "driver_dl_entities"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("onboarding")
    onboarding_root.make(root)
    return root


class Rotation:
    """A root whose hash key changes."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self._patch = root, patch
        self.keys("first")

    def keys(self, key: str, old: str | None = None) -> None:
        """Start the service with these keys."""
        self._patch.setenv("RISK_HASH_KEY", key)
        if old is None:
            self._patch.delenv("RISK_HASH_KEY_OLD", raising=False)
        else:
            self._patch.setenv("RISK_HASH_KEY_OLD", old)
        now = datetime.now(UTC) - timedelta(hours=1)
        times = (now + timedelta(seconds=second) for second in range(1_000_000))
        self.client = create_app(clock=lambda: next(times)).test_client()

    def sign_up(self, person: dict[str, str]) -> dict[str, Any]:
        answer = self.client.post("/sign-up/", json=person)
        assert answer.status_code == 200, answer.text
        return answer.json

    def decide(self, person: dict[str, str]) -> dict[str, Any]:
        """The features of a decision."""
        return self.client.post("/onboarding-risk-decision/", json=person).json["features"]

    def stored(self, name: str) -> list[int | None]:
        """The last two drivers that are stored under the present hash of an identifier of the applicant."""
        row = risks()["onboarding"].request.model_validate(APPLICANT).row(datetime.now(UTC), settings.hash_key())
        return list(FeastStore(settings.FEATURE_REPO).stored(VIEWS[name], {name: str(row[name])}).values())

    def raw(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "raw/drivers").sort_values("ssn")


@pytest.fixture
def rotation(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rotation]:
    shutil.copytree(made, tmp_path / "root", symlinks=True)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    return Rotation(tmp_path / "root", monkeypatch)


def test_an_identifier_that_was_seen_under_the_old_key_is_seen_under_the_new(rotation):
    driver = int(rotation.sign_up(APPLICANT)["home"].rpartition("/")[2])
    rotation.keys("second", old="first")
    features = rotation.decide(OTHER)
    assert (features["is_previously_seen_ssn"], features["is_previously_seen_dl"]) == (1, 0)
    assert rotation.stored("ssn") == [driver, None]
    assert [(line["name"], line["view"]) for line in lines.read(rotation.root / "rekeyed.jsonl")] == [
        ("ssn", "driver_ssn_entities")
    ]
    rotation.decide(OTHER)
    assert len(list(lines.read(rotation.root / "rekeyed.jsonl"))) == 1
    rotation.keys("second")  # the old key is gone: what was seen again stays known, and the licence was not
    features = rotation.decide(APPLICANT)
    assert (features["is_previously_seen_ssn"], features["is_previously_seen_dl"]) == (1, 0)


def test_who_signs_up_again_under_the_new_key_is_the_same_driver(rotation):
    first = rotation.sign_up(APPLICANT)
    rotation.keys("second", old="first")
    second = rotation.sign_up(APPLICANT)
    # Seen before, so a person looks at it; by a rule of the test, it is approved.
    assert second["decision"]["features"]["is_previously_seen_ssn"] == 1
    (rotation.root / "policies/onboarding.yaml").write_text("thresholds: {low: 1, high: 1}\nrules: []")
    again = rotation.sign_up(APPLICANT)
    assert again["home"] == first["home"]
    raw = rotation.raw()
    assert (raw["driver_id"].nunique(), raw["ssn"].nunique()) == (1, 2)
    rotation.keys("second")
    assert rotation.sign_up(APPLICANT)["home"] == first["home"]
    assert len(rotation.raw()) == 2


def test_a_list_of_old_hashes_still_finds_who_is_in_it(rotation):
    row = risks()["onboarding"].request.model_validate(APPLICANT).row(datetime.now(UTC), b"first")
    folder = rotation.root / "policies"
    folder.mkdir(exist_ok=True)
    (folder / "blocked.txt").write_text(row["ssn"])
    rule = "{when: ssn in list blocked, outcome: decline, reason: blocked, text: Blocked.}"
    (folder / "onboarding.yaml").write_text(f"lists: {{blocked: blocked.txt}}\nrules:\n  - {rule}")

    def outcome() -> str:
        return rotation.client.post("/onboarding-risk-decision/", json=APPLICANT).json["decision"]

    assert outcome() == "decline"
    rotation.keys("second", old="first")
    assert outcome() == "decline"
    equal = rule.replace("ssn in list blocked", f"ssn == '{row['ssn']}'")
    (folder / "onboarding.yaml").write_text(f"rules:\n  - {equal}")
    assert outcome() == "decline"
    rotation.keys("second")
    assert outcome() != "decline"


def test_the_status_counts_what_is_not_seen_since(rotation):
    def status(*options: str):
        return CliRunner().invoke(jobs, ["hash-key", "status", *options])

    rotation.sign_up(APPLICANT)
    signed_up = rotation.raw()
    (rotation.root / "policies/blocked.txt").write_text("a" * 32)
    assert (status().exit_code, "one hash key only" in status().output) == (ExitCode.OK, True)
    rotation.keys("second", old="first")
    counted = [line.split() for line in status().stdout.splitlines()[1:]]
    assert counted == [
        ["raw", "table", "drivers.ssn", "1"],
        ["raw", "table", "drivers.dl", "1"],
        ["online", "view", "driver_ssn_entities", "1"],
        ["online", "view", "driver_dl_entities", "1"],
        ["policy", "blocked.txt", "1"],
    ]
    assert status().exit_code == ExitCode.FAILED
    listed = status("--list")
    assert listed.exit_code == ExitCode.FAILED
    ssn, dl = signed_up.loc[0, ["ssn", "dl"]]
    assert [line.split()[-2:] for line in listed.stdout.splitlines()[1:]] == [
        ["drivers.ssn", ssn], ["drivers.dl", dl], ["driver_ssn_entities", ssn], ["driver_dl_entities", dl],
        ["blocked.txt", "a" * 32],
    ]  # fmt: skip
    rotation.decide(OTHER)
    assert [line.split()[-2] for line in status().stdout.splitlines()[1:]] == [
        "drivers.dl", "driver_dl_entities", "blocked.txt",
    ]  # fmt: skip
    rotation.decide(APPLICANT)
    (rotation.root / "policies/blocked.txt").write_text("b" * 32)
    done = status()
    assert (done.exit_code, "You may unset RISK_HASH_KEY_OLD" in done.output) == (ExitCode.OK, True)


def test_the_command_rotates_once_and_needs_both_keys(rotation, monkeypatch):
    def rotate():
        return CliRunner().invoke(jobs, ["hash-key", "rotate"])

    assert "RISK_HASH_KEY_OLD is not set" in rotate().stderr
    monkeypatch.setenv("RISK_HASH_KEY", "second")
    monkeypatch.setenv("RISK_HASH_KEY_OLD", "first")
    assert "belongs to the new key" in rotate().output
    assert "belongs to this key already" in rotate().output
    monkeypatch.setenv("RISK_HASH_KEY_OLD", "second")
    assert rotate().exit_code == ExitCode.FAILED


def test_a_root_goes_to_the_new_key_once_and_never_back(rotation):
    rotation.keys("second", old="first")
    rotation.keys("second")
    for key, old in (("first", None), ("first", "second"), ("third", None)):
        with pytest.raises(BadSetting, match="RISK_HASH_KEY is not the key of"):
            rotation.keys(key, old)
    rotation.keys("third", old="second")
    checks = keys_of(rotation.root / "hash-key")
    assert len({check for check, _ in checks}) == 3
    assert [bool(until) for _, until in checks] == [False, True, True]
    assert not claim_for_key(rotation.root / "hash-key", settings.hash_key(), unlogged)
