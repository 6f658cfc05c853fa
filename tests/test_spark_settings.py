"""Where Spark computes, and with which options."""

import pytest
from click.testing import CliRunner

import settings
from errors import BadSetting
from jobs.commands import jobs


def test_spark_computes_here_unless_settings_say_otherwise(monkeypatch):
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    monkeypatch.delenv("SPARK_OPTIONS", raising=False)
    assert settings.spark() == {"spark.master": "local[*]"}
    monkeypatch.setenv("SPARK_MASTER", "spark://cluster:7077")
    monkeypatch.setenv("SPARK_OPTIONS", "spark.executor.memory=4g 'spark.executor.extraJavaOptions=-Xss4m -Da=b'")
    assert settings.spark() == {
        "spark.master": "spark://cluster:7077",
        "spark.executor.memory": "4g",
        "spark.executor.extraJavaOptions": "-Xss4m -Da=b",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("executor.memory=4g", "SPARK_OPTIONS has 'executor.memory=4g'"),
        ("spark.executor.memory", "SPARK_OPTIONS has 'spark.executor.memory'"),
        ("'spark.a=b", "No closing quotation. Close the quotes"),
    ],
)
def test_an_option_that_cannot_be_one_is_refused(monkeypatch, text, message):
    monkeypatch.setenv("SPARK_OPTIONS", text)
    with pytest.raises(BadSetting, match=message):
        settings.spark()


def test_a_table_of_hive_needs_spark(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    command = ["execute", "feature_store.user_orders", "--input", "hive:shop.orders"]
    result = CliRunner().invoke(jobs, command)
    assert result.exit_code == 1
    assert "which Spark reads. Give --engine spark" in " ".join(result.output.split())
