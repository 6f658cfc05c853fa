"""A policy file: what it may say, and what is refused with its line."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake import NOW, Fake

from errors import PolicyBroken
from features.domains import risks
from serving.policies import Policies, appetite

ONBOARDING, DAILY = risks()["onboarding"], risks()["daily"]
RULES = """
rules:
  - when: {when}
    outcome: review
    reason: made_up
    text: A made-up rule.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies").mkdir()
    return tmp_path / "policies"


def write(folder, text, name="daily.yaml"):
    (folder / name).write_text(text)


def loaded(folder, risk=DAILY):
    return Policies(folder, Fake())[risk]


def fault(folder, text, name="daily.yaml"):
    write(folder, text, name)
    with pytest.raises(PolicyBroken) as broken:
        loaded(folder)
    return broken.value.message


def test_without_a_file_what_the_risk_declares_is_in_force(folder):
    policy = loaded(folder, ONBOARDING)
    assert policy.appetite == ONBOARDING.appetite
    assert [active.rule for active in policy.rules] == list(ONBOARDING.policies)


def test_a_section_that_a_file_leaves_out_is_the_declared_one(folder):
    write(folder, "thresholds: {low: 0.01, high: 1e-1}", "onboarding.yaml")
    policy = loaded(folder, ONBOARDING)
    assert (policy.appetite.low, policy.appetite.high, len(policy.rules)) == (0.01, 0.1, 1)
    write(folder, "rules: []", "onboarding.yaml")
    policy = loaded(folder, ONBOARDING)
    assert (policy.appetite, policy.rules) == (ONBOARDING.appetite, ())


def test_a_version_is_a_digest_of_what_the_policy_says(folder):
    declared = loaded(folder).version
    write(folder, "# the same as declared\nthresholds: {low: 0.15, high: 0.5}\n")
    assert loaded(folder).version == declared
    write(folder, "thresholds: {low: 0.15, high: 0.51}\n")
    assert len(loaded(folder).version) == 12
    assert loaded(folder).version != declared
    versions = set()
    for values in ("1001\n", "1001\n1002", "1002\r\n\r\n 1001 \n"):
        (folder / "blocked").write_text(values)
        write(folder, "lists: {blocked: blocked}" + RULES.format(when="driver_id in list blocked"))
        versions.add(loaded(folder).version)
    assert len(versions) == 2, "the order of a list does not matter"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("thresholds:\n  low: 0.6\n  high: 0.5", 2, "low is 0.6, above high, 0.5. Exchange them"),
        ("thresholds:\n  low: 0.1\n  high: 50", 3, "Write a number from 0 to 1"),
        ("thresholds:\n  low: -0.1\n  high: 0.5", 2, "Write a number from 0 to 1"),
        ("thresholds:\n  low: 0,1\n  high: 0.5", 2, "low is '0,1', which is no number"),
        ("thresholds:\n  low: '0.1'\n  high: 0.5", 2, "no number"),
        ("thresholds:\n  low: .nan\n  high: 0.5", 2, "no number"),
        ("thresholds:\n  low: 1:30\n  high: 0.5", 2, "no number"),
        ("thresholds:\n  low:\n  high: 0.5", 2, "low is empty"),
        ("thresholds:\n  low: [0.1]\n  high: 0.5", 2, "low is a list"),
        ("thresholds:\n  low: 0.1", 2, "high is missing. Write low, high"),
        ("thresholds:\n  low: 0.1\n  high: 0.5\n  low: 0.2", 4, "'low' stands a second time"),
        ("rules: []\nthresholds: {low: 0.1, high: 0.5}\nrules: []", 3, "'rules' stands a second time"),
        ("thresholds:\n  low: 0.1\n  hihg: 0.5", 3, "'hihg' is unknown. Did you mean 'high'?"),
        ("\ntreshold: {}", 2, "Did you mean 'thresholds'? Use: thresholds, lists, rules"),
        ("thresholds: 0.5", 1, "'0.5' stands where names are needed. Write low: …"),
        ("[1, 2]", 1, "a list stands where names are needed. Write thresholds: …"),
        ("thresholds:\n\tlow: 0.1", 2, "this is not YAML"),
        ("thresholds: {low: 0.1", 1, "this is not YAML"),
        ("thresholds: {low: 0.1, high: 0.5}\n---\nrules: []", 2, "this is not YAML"),
        ("thresholds: *nobody", 1, "this is not YAML"),
        ("", 1, "the file is empty"),
        ("# nothing\n", 1, "the file is empty"),
        ("rules: {}", 1, "rules is a mapping. Write a list"),
        ("rules:", 1, "rules is empty. Write a list"),
        (RULES.format(when="acc_rat < 0.5"), 3, "no feature or request field 'acc_rat'. Did you mean 'acc_rate'?"),
        (RULES.format(when="acc_rate ~ 0.5"), 3, "unknown operator '~'"),
        (RULES.format(when="acc_rate < 'low'"), 3, "acc_rate is a number"),
        (RULES.format(when="driver_id == 'x'"), 3, "driver_id is a number"),
        (RULES.format(when="state in list nowhere"), 3, "there is no list 'nowhere'"),
        (RULES.format(when="acc_rate < 1") + "    allow: yes\n", 7, "allow is 'yes'. Write true or false"),
        (RULES.format(when="acc_rate < 1") + "    then: x\n", 7, "'then' is unknown"),
        (RULES.format(when="[1]"), 3, "when is a list. Write a text"),
        (RULES.format(when="acc_rate < 1").replace("review", "decide"), 4, "Use one of: approve, review, decline"),
        (RULES.format(when="acc_rate < 1").replace("review", "approve"), 4, "is the mildest outcome"),
        (RULES.format(when="acc_rate < 1").replace("made_up", "Made up"), 5, "Write a code of small letters"),
        (RULES.format(when="acc_rate < 1").replace("A made-up rule.", "''"), 6, "text is empty"),
        ("rules:\n  - when: acc_rate < 1\n    outcome: review", 2, "reason is missing"),
        ("lists:\n  blocked: gone.txt" + RULES.format(when="state in list blocked"), 2, "gone.txt is not there"),
        ("lists:\n  A b: x\nrules: []", 2, "is no name of a list"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line_and_what_to_do(folder, text, line, words):
    message = fault(folder, text)
    assert message.startswith(f"policies/daily.yaml, line {line}: ")
    assert words in message
    assert message.endswith(".")


def test_a_list_of_numbers_is_refused_with_the_line_of_a_text(folder):
    (folder / "blocked").write_text("7\n\nseven\n")
    text = "lists: {blocked: blocked}" + RULES.format(when="driver_id in list blocked")
    assert fault(folder, text).startswith("blocked, line 3: 'seven' is no number")
    (folder / "blocked").write_bytes(b"7\n\xff\n")
    assert fault(folder, text).startswith("blocked, line 2: this is no UTF-8")


def test_a_file_that_would_be_passed_over_is_an_error(folder):
    message = fault(folder, "rules: []", "daily.yml")
    assert message == "policies/daily.yml is not read. Rename it to policies/daily.yaml."


@pytest.mark.parametrize("name", ["Daily.yaml", "daily.YAML", "DAILY.YML"])
def test_a_file_in_other_capitals_is_an_error(folder, name):
    assert fault(folder, "rules: []", name) == f"policies/{name} is not read. Rename it to policies/daily.yaml."


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "1_000", "١٢", "0x10", "1,5"])
def test_a_list_of_numbers_holds_numbers_as_everybody_writes_them(folder, text):
    (folder / "blocked").write_text(f"7\n{text}\n")
    text = "lists: {blocked: blocked}" + RULES.format(when="driver_id in list blocked")
    assert fault(folder, text).startswith("blocked, line 2: ")


SECRETS = ("512-34-8765", "512348765", "A" * 32)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("when", ["ssn == '{}'", "ssn != '{}'", "ssn in ['{}']", "ssn not in list blocked"])
def test_a_rule_never_holds_a_secret_and_never_shows_it(folder, secret, when):
    (folder / "blocked").write_text(f"{'a' * 32}\n{secret}\n")
    write(folder, "lists: {blocked: blocked}" + RULES.format(when=when.format(secret)), "onboarding.yaml")
    with pytest.raises(PolicyBroken, match="python -m jobs policy RISK hash FIELD") as broken:
        loaded(folder, ONBOARDING)
    assert secret not in broken.value.message
    assert ("blocked, line 2" if "list" in when else "policies/onboarding.yaml, line 3") in broken.value.message


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("gone")])
def test_what_is_no_readable_file_is_an_error_and_not_absent(folder, make):
    make(folder / "daily.yaml")
    with pytest.raises(PolicyBroken, match=r"policies/daily\.yaml cannot be read"):
        loaded(folder)


def test_no_rule_may_name_what_is_internal(folder, monkeypatch):
    monkeypatch.setattr(Fake, "types", lambda self, service: dict.fromkeys((*DAILY.needs, "user_orders_seen"), "INT64"))
    assert "no feature or request field 'user_orders_seen'" in fault(folder, RULES.format(when="user_orders_seen > 1"))


@pytest.mark.parametrize(
    "changes", [{"needs": ("acc_rat",)}, {"inputs": (replace(DAILY.inputs[0], known_by=("acc_rat",)),)}]
)
def test_a_need_that_does_not_exist_is_an_error(folder, changes):
    with pytest.raises(PolicyBroken, match="daily needs 'acc_rat', which is no feature"):
        loaded(folder, replace(DAILY, **changes))


def test_a_secret_that_no_row_keeps_is_a_hash_for_rules():
    coupon = risks()["coupon"].request(msg_id="m", device_id="d", location_code="L", coupon_code="1234-5678-9012-3456")
    fields = coupon.fields(coupon.row(NOW, b"key"), b"key")
    assert fields["device_id"] == "d"
    assert len(fields["coupon_code"]) == 32
    assert "coupon_prefix" not in fields


def test_training_takes_the_thresholds_of_the_file(folder):
    assert appetite(folder, DAILY) == DAILY.appetite
    write(folder, "thresholds: {low: 0.01, high: 0.02}")
    assert (appetite(folder, DAILY).low, appetite(folder, DAILY).high) == (0.01, 0.02)
