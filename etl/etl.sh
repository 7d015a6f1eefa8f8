#!/usr/bin/env bash
# The nightly run: pull, validate, load, archive. Quiet when all is well; cron mails what it prints.
# Every stage runs, whatever became of the one before. The first failing stage's status is the run's;
# 3 (done, but a whole file was refused) only if none failed.
# Usage: bash etl/etl.sh [--as-of YYYY-MM-DD]
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
    echo "etl.sh: there is no virtual environment in $root/.venv. Hint: run make etl-setup there." >&2
    exit 2
fi

if [ -z "${ETL_RUN_ID:-}" ]; then # night.py takes the locks and calls this script again
    ETL_NEW_RUN_ID=$(date -u +%Y%m%dT%H%M%SZ)-$$
    ETL_JOURNAL=$(mktemp "${TMPDIR:-/tmp}/visitas-journal.XXXXXX") # what the scripts say, until people are told; empty: do without
    export ETL_NEW_RUN_ID ETL_JOURNAL
    # However the run ends, people hear of it, and that changes nothing of how it ended.
    trap 'status=$?; timeout -k 5 180 "$python" "$root/etl/notify.py" "$status" || true; rm -f "$ETL_JOURNAL"; exit "$status"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$python" "$root/etl/night.py" "$@"
    exit
fi

status=0
for stage in extract transform load archive; do
    "$python" "$root/etl/$stage.py" || {
        code=$?
        if [ "$code" -gt 128 ] && [ -n "${ETL_JOURNAL:-}" ]; then # it could not say so itself
            printf '{"stage": "%s", "level": "ERROR", "message": "killed by signal %d"}\n' "$stage" $((code - 128)) >> "$ETL_JOURNAL"
        fi
        case $status in 0 | 3) status=$code ;; esac
        [ "$code" -ne 130 ] || break # interrupted at the terminal
    }
done
exit "$status"
