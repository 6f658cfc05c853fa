"""What a message about a wrong setting says is what the reference says."""

import re

import pytest
from readme import code_of, tables

import settings
from errors import BadSetting

PAGE = settings.PROJECT / "docs/reference/settings.md"
#: Variable → a value that is wrong, and what reads it.
WRONG = {
    "RISK_DATA": ("", settings.root), "RISK_STORE": ("no.yaml", settings.feature_store),
    "RISK_HASH_KEY": ("", settings.hash_key), "RISK_HASH_KEY_OLD": ("", settings.hash_key),
    "RISK_JWT_SECRET": ("short", settings.jwt_secret), "RISK_JWT_SECRET_OLD": ("short", settings.old_jwt_secret),
    "PORT": ("http", settings.port), "RISK_HOSTS": ("https://a", settings.hosts),
    "RISK_LIMITS": ("logn=1/minute", settings.limits), "RISK_PROXIES": ("x", settings.proxies),
    "RISK_EVENTS": ("kafka:risk", settings.events), "RISK_KAFKA": ("no file", settings.kafka),
    "RISK_LOG": ("xml", lambda: settings.logs_json(True)), "SPARK_MASTER": ("locl", settings.spark),
    "SPARK_OPTIONS": ("memory=4g", settings.spark), "WORKERS": ("0", settings.workers),
}  # fmt: skip
#: No value of them is refused by itself: a server cannot listen there, or another server refuses them.
ANY = {"RISK_API_KEY", "HOST", "OTEL_EXPORTER_OTLP_ENDPOINT"}


def rows() -> dict[str, str]:
    """Variable → its row in the reference."""
    return {name: " ".join(row) for row in tables(PAGE, "# Settings") for name in code_of(row[0])}


def test_every_setting_has_a_wrong_value_here():
    assert set(rows()) == WRONG.keys() | ANY


@pytest.mark.parametrize("name", WRONG)
def test_a_message_about_a_setting_has_the_words_of_the_reference(name: str, monkeypatch: pytest.MonkeyPatch):
    value, read = WRONG[name]
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting) as error:
        read()
    message, row = error.value.message, rows()[name]
    assert message.startswith(name)
    assert re.search(r"\b(Set|Make|Close|Unset)\b", message), "it says what to do"
    placeholders = set(re.findall(r"\b[A-Z]{4,}\b", message)) - {"RISK", "SPARK"}
    assert {word for word in placeholders if word not in f"{row} {' '.join(rows())}"} == set()
    schemes = set(re.findall(r"\b\w+://[A-Z:/]+", message))
    assert {form for form in schemes if form not in row} == set()


def test_the_nearest_kind_of_a_limit_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_LIMITS", "logn=1/minute")
    with pytest.raises(BadSetting, match=r"Did you mean 'login'\? Set it to limits such as"):
        settings.limits()
