#!/bin/sh
# Run hpo for a team on this machine: create the secrets once, then start PostgreSQL, the dashboard and workers.
# `make up` runs this. WORKERS is the number of workers (default 1); arguments go to `docker compose up`.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "error: $1" >&2
    exit 1
}

case "${WORKERS:=1}" in
'' | 0* | *[!0-9]*) fail "WORKERS=$WORKERS is not a number of workers: give 1 or more" ;;
esac
command -v docker >/dev/null || fail "docker is not installed: see https://docs.docker.com/engine/install"
docker compose version >/dev/null 2>&1 ||
    fail "docker has no Compose plugin: see https://docs.docker.com/compose/install"
docker info >/dev/null 2>&1 ||
    fail "docker cannot reach its engine: start it, or allow your user to use it (\`docker info\` has the reason)"

# Containers read these files as users of their own, so the files are readable; the folder is closed to others.
mkdir -p secrets
chmod 700 secrets
for name in database_password viewer_password worker_password submitter_password dashboard_token; do
    [ -s "secrets/$name" ] && continue
    head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"secrets/$name.new"
    chmod 644 "secrets/$name.new"
    mv "secrets/$name.new" "secrets/$name"
    echo "created secrets/$name"
done

# Without --wait, which fails on services that are to end (migrate, roles): docker/compose issue 10596. The
# dependencies in the file make `up` wait for the database and the upgrade anyway.
docker compose up --detach --build --scale worker="$WORKERS" "$@"
cat <<END
dashboard: http://127.0.0.1:8080, log in with the token in secrets/dashboard_token
next:      docker compose run --rm hpo submit quickstart
END
