# The image of the service and of every job: docs/how-to/run-in-production.md.
#   risk     the service, the stream jobs, and jobs on DuckDB
#   batch    the same with Java and PySpark: jobs on Spark, and Spark itself
#   airflow  the same with Airflow, in an environment of its own, which starts the jobs
ARG BASE=python:3.11.14-slim-bookworm

FROM ${BASE} AS build
WORKDIR /app
COPY requirements.txt requirements-engines.txt pyproject.toml ./
RUN python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir "$(grep '^uv==' requirements.txt)" \
    && python3 -m venv --without-pip .venv \
    && /opt/uv/bin/uv pip install --no-cache --python .venv --constraint requirements-engines.txt --requirement pyproject.toml \
        --extra kafka --extra redis --extra postgres
COPY . .
RUN /opt/uv/bin/uv pip install --no-cache --python .venv --no-deps --build-constraint requirements.txt --editable . \
    && python3 -m compileall -q .

FROM build AS build-batch
RUN /opt/uv/bin/uv pip install --no-cache --compile-bytecode --python .venv --constraint requirements-engines.txt --requirement pyproject.toml \
    --extra kafka --extra redis --extra postgres --extra spark

FROM build AS build-airflow
RUN python3 -m venv --without-pip /opt/airflow \
    && /opt/uv/bin/uv pip install --no-cache --compile-bytecode --python /opt/airflow --requirement deploy/airflow/requirements.txt

FROM ${BASE} AS risk
# Debian's stable release keeps one version of a library and mends it, so a version here would only age.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home risk \
    && install -d -o risk -g risk -m 750 /data
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 RISK_PROJECT=/app RISK_DATA=/data HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["sh", "deploy/healthy.sh"]
ENTRYPOINT ["sh", "deploy/entrypoint.sh"]
CMD ["serve"]

FROM risk AS batch
USER 0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-batch /app/.venv /app/.venv
USER 10001:10001

FROM batch AS airflow
COPY --from=build-airflow /opt/airflow /opt/airflow
RUN mkdir /home/risk/airflow
ENV AIRFLOW_HOME=/home/risk/airflow AIRFLOW__CORE__DAGS_FOLDER=/app/deploy/airflow/dags
HEALTHCHECK NONE
ENTRYPOINT ["/opt/airflow/bin/airflow"]
CMD ["version"]
