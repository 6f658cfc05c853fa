"""The policy that the how-to shows, and the commands that check and show a policy."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import readme
import yaml
from click.testing import CliRunner

from cli.exit_codes import ExitCode
from errors import PolicyBroken
from features.domains import risks
from features.policy import declared_reasons
from jobs.commands import jobs
from jobs.commands.risk import policy as command
from serving.policies import Policies

PAGE = readme.DOCS / "how-to/set-rules-and-thresholds.md"
CHARGEBACK = risks()["chargeback"]
TYPES = {"int": "INT64", "float": "DOUBLE", "string": "STRING"}


class Declared:
    """The types of the features that the risk declares."""

    def types(self, service: str) -> dict[str, str]:
        return {feature.name: TYPES[feature.dtype] for feature in CHARGEBACK.live.features}

    def asks(self, service: str) -> dict[str, str]:
        return {"user_id": "STRING", "merchant_id": "STRING", "amount": "DOUBLE", "order_timestamp": "UNIX_TIMESTAMP"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of policies with the page's lists, and no policy."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    made = tmp_path / "policies"
    made.mkdir()
    (made / "blocked_users.txt").write_text("u1\nu2\n")
    (made / "trusted_users.txt").write_text("u2\nu3\n")
    monkeypatch.setattr(command, "_policies", lambda: Policies(made, Declared()))
    return made


def reasons(policy, user, amount, is_night=0, merchant="m"):
    features = {"order_amount": amount, "is_night": is_night}
    fields = {"user_id": user, "merchant_id": merchant}
    return [active.rule.reason.code for active in policy.rules if active.applies(features, fields)]


def test_the_policy_of_the_page_does_what_the_page_says(folder):
    (folder / "chargeback.yaml").write_text(readme.block(PAGE, "policy:chargeback"))
    policy = Policies(folder, Declared())[CHARGEBACK]
    assert (policy.appetite.low, policy.appetite.high) == (0.03, 0.40)
    assert reasons(policy, "u1", 5.0) == ["user_blocked"]
    assert reasons(policy, "u2", 5.0) == ["user_blocked", "user_trusted"]
    assert reasons(policy, "u4", 501.0, is_night=1) == ["large_and_unusual"]
    assert reasons(policy, "u4", 501.0, merchant="") == ["large_and_unusual"]
    assert reasons(policy, "u4", None, is_night=1) == []
    assert [active.severity for active in policy.rules] == [2, 0, 1]


@pytest.mark.parametrize("row", readme.tables(PAGE, "## Check a policy first"), ids=lambda row: row[0])
def test_the_page_shows_the_messages_of_mistakes_as_they_are(folder, row):
    text = readme.block(PAGE, "policy:chargeback")
    wrong = {
        "an unknown name": text.replace("order_amount", "order_amonut"),
        "a wrong outcome": text.replace("outcome: decline", "outcome: refuse"),
        "a wrong type": text.replace("> 500", "> '500'"),
        "an unknown operator": text.replace("> 500", "=> 500"),
        "exchanged thresholds": text.replace("0.03 ", "0.4 ").replace("0.40", "0.03"),
        "a name that stands twice": text.replace("lists:", "  low: 0.1\nlists:").replace("\n\n", "\n", 1),
    }[row[0]]
    (folder / "chargeback.yaml").write_text(wrong)
    with pytest.raises(PolicyBroken) as broken:
        Policies(folder, Declared())[CHARGEBACK]
    shown = readme.code_of(row[1])[0]
    for part in shown.split(" …"):
        assert part.strip(" .") in broken.value.message


def run(*arguments: str, input: str | None = None):
    return CliRunner().invoke(jobs, ["policy", *arguments], input=input)


def test_what_the_command_shows_is_a_policy_file_that_says_the_same(folder):
    declared = run("chargeback", "show").output
    assert "declared in code" in declared
    text = readme.block(PAGE, "policy:chargeback")
    (folder / "chargeback.yaml").write_text(text)
    shown = run("chargeback", "show").output
    assert shown.startswith("# chargeback, version ")
    texts = declared_reasons(CHARGEBACK)
    assert yaml.safe_load(shown) == yaml.safe_load(text) | {"reasons": texts}
    version = Policies(folder, Declared())[CHARGEBACK].version
    (folder / "chargeback.yaml").write_text(shown)
    assert Policies(folder, Declared())[CHARGEBACK].version == version
    assert yaml.safe_load(declared)["thresholds"] == {"low": 0.05, "high": 0.5}


def test_a_file_is_checked_before_it_is_in_force(folder, tmp_path):
    file = tmp_path / "new.yaml"
    file.write_text(readme.block(PAGE, "policy:chargeback"))
    checked = run("chargeback", "check", str(file))
    assert (checked.exit_code, "low: 0.03" in checked.output) == (ExitCode.OK, True)
    file.write_text("thresholds: {low: 0.5, high: 0.4}")
    refused = run("chargeback", "check", str(file))
    assert refused.exit_code == ExitCode.FAILED
    assert "new.yaml, line 1: low is 0.5, above high, 0.4. Exchange them." in refused.stderr
    assert run("chargeback", "check", str(tmp_path / "gone.yaml")).exit_code == ExitCode.FAILED
    assert not list(folder.glob("*.yaml"))


def test_the_hash_of_a_secret_is_the_one_that_the_service_computes(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_HASH_KEY", "k")
    applicant = risks()["onboarding"].request(state="CA", ssn="512-34-8765", dl="D1234567", dob="1990-05-17")
    row = applicant.row(datetime(2026, 1, 1, tzinfo=UTC), b"k")
    values = tmp_path / "ssns.txt"
    values.write_text("512348765\n\n512-34-8765\n")
    hashes = run("onboarding", "hash", "ssn", "--values", str(values)).output.split()
    assert hashes == [row["ssn"], row["ssn"]]
    coupon = run("coupon", "hash", "coupon_code", input="1234-5678-9012-3456")
    assert len(coupon.output.split()[0]) == len(row["ssn"])
    for field, words in (("coupon_code", "Line 1 is no valid coupon_code"), ("device_id", "no secret of coupon")):
        refused = run("coupon", "hash", field, input="1234")
        assert refused.exit_code == ExitCode.FAILED
        assert words in refused.stderr
        assert "1234" not in refused.stderr


def test_help_behind_the_name_of_a_risk_is_that_of_the_command():
    assert "check" in run("chargeback", "--help").output
    assert run("chargback", "show").exit_code == ExitCode.FAILED
