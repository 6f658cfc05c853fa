#!/bin/sh
# Copies a root: sh deploy/backup.sh ROOT NEW_FOLDER. The service may run, the stream job and other jobs may not.
# docs/how-to/operate.md says why the order is this one.
set -eu
from=$(realpath "$1")
to=$(realpath -m "$2")
umask 077
mkdir "$to"
mkdir "$to/streams" "$to/answers"
cd "$from"
for db in *.db streams/*.db answers/*.db; do
    if [ -f "$db" ] && [ "$db" != registry.db ]; then
        "${PYTHON:-python3}" -c 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))' "$db" "$to/$db"
    fi
done
for part in decisions.heads cases.heads cases outcomes decisions registry.db *; do
    case $part in
        *.db-wal | *.db-shm | *.lock | streams | answers | decisions.index | replaced) continue ;;
    esac
    if [ -e "$part" ] && [ ! -e "$to/$part" ]; then
        cp -a "$part" "$to/"
    fi
done
