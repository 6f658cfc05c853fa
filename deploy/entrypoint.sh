#!/bin/sh
# What the image runs: the service (serve), Feast (feast …), or a job: its name and its options.
set -eu
case "${1:-serve}" in
    serve)
        touch /tmp/serves # for healthy.sh
        exec python app.py --production
        ;;
    feast)
        shift
        exec feast --chdir feature_repo ${RISK_STORE:+--feature-store-yaml "$RISK_STORE"} "$@"
        ;;
    *) exec python -m jobs "$@" ;;
esac
