"""What the file of RISK_KAFKA may say, without a broker."""

import pytest

import settings
from brokers import OPTIONS, SECURITY, KafkaTopic, security_of, topic_of
from errors import BadSetting
from jobs.stream.flink.java import java_client

SECRET = "a secret"
SIGNED = {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "risk",
          "sasl.password": 'a "quoted" \\ secret', "ssl.ca.location": "/ca.pem"}  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [f"sasl.passwort={SECRET}", SECRET, f"acks={SECRET}", f"sasl.mechanism={SECRET}", f"bootstrap.servers={SECRET}"],
)
def test_a_wrong_line_is_named_by_its_number_and_not_shown(line, tmp_path, monkeypatch):
    file = tmp_path / "kafka.properties"
    file.write_text(f"# the brokers of the company\n\n{line}\n")
    monkeypatch.setenv("RISK_KAFKA", str(file))
    with pytest.raises(BadSetting, match="Line 3 of") as raised:
        settings.kafka()
    assert SECRET not in raised.value.message


def test_the_nearest_option_is_named_and_not_all_of_them(tmp_path):
    (file := tmp_path / "kafka.properties").write_text(f"sasl.pasword={SECRET}\n")
    with pytest.raises(
        BadSetting, match=r"Did you mean 'sasl\.password'\? Write name=value, with a name that"
    ) as raised:
        security_of(str(file))
    assert len(raised.value.message) < 300
    page, _, anchor = OPTIONS.partition("#")
    text = (settings.PROJECT / page).read_text()
    assert f"## {anchor.replace('-', ' ')}" in text.lower()
    assert [name for name in SECURITY if f"`{name}`" not in text] == []


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadSetting, match=r"nowhere.* cannot be read: No such file"):
        security_of(str(tmp_path / "nowhere"))


def test_a_password_may_have_any_letters_and_is_in_no_text(tmp_path):
    file = tmp_path / "kafka.properties"
    file.write_text("\n".join(f"{name} = {value}" for name, value in SIGNED.items()).replace("mechanism", "mechanisms"))
    topic = topic_of("kafka://h:9092/t", security_of(str(file)))
    assert topic.client == {"bootstrap.servers": "h:9092", **SIGNED}
    assert "secret" not in f"{topic!r} {topic.url}"


def test_flink_gets_the_same_in_the_words_of_java():
    options = java_client(KafkaTopic("h:9092", "t", SIGNED))
    assert options.pop("sasl.jaas.config") == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        r'username="risk" password="a \"quoted\" \\ secret";'
    )
    assert options == {
        "bootstrap.servers": "h:9092", "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512",
        "ssl.truststore.type": "PEM", "ssl.truststore.location": "/ca.pem",
    }  # fmt: skip


@pytest.mark.parametrize("more", [{"ssl.key.location": "/key"}, {"sasl.mechanism": "GSSAPI", "sasl.username": "risk"}])
def test_what_java_has_no_word_for_is_refused(more):
    with pytest.raises(BadSetting, match="Flink"):
        java_client(KafkaTopic("h:9092", "t", more))
