"""Where Spark computes, and with which options."""

import sys

import pytest
from click.testing import CliRunner
from engines.need import need
from processes import environment, run

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


@pytest.mark.parametrize(
    "master", ["locl[2]", "local[]", "spark//host:7077", "spark://host", "yarn-cluster", "k8s:/h:1"]
)
def test_a_master_that_cannot_be_one_is_refused_before_java_starts(monkeypatch, master):
    monkeypatch.setenv("SPARK_MASTER", master)
    with pytest.raises(
        BadSetting, match=r"SPARK_MASTER is '.*'\. Set it to local\[4\], local\[\*\], spark://HOST:PORT"
    ):
        settings.spark()


@pytest.mark.parametrize(
    "master", ["local", "local[2]", "local[*]", "local[*, 3]", "local-cluster[2,1,1024]", "yarn", "spark://a:1,b:2",
               "k8s://https://h:443"],
)  # fmt: skip
def test_a_master_that_spark_knows_is_taken(monkeypatch, master):
    monkeypatch.setenv("SPARK_MASTER", master)
    assert settings.spark()["spark.master"] == master


@pytest.mark.slow
@pytest.mark.engine
def test_a_spark_that_does_not_start_is_a_wrong_setting(tmp_path):
    need(modules=("pyspark",))
    code = "import settings; from jobs.batch.spark.session import opened; opened(settings.spark())"
    env = environment() | {"JAVA_HOME": str(tmp_path)}
    words = run([sys.executable, "-c", code], code=1, cwd=settings.PROJECT, env=env).stderr.splitlines()[-1]
    assert words.startswith("errors.job.BadSetting: Spark does not start at local[*]: [JAVA_GATEWAY_EXITED] ")
