#!/usr/bin/env bash
# The nightly run: night.py takes the locks and has stages.sh pull, validate, load and archive; then notify.py tells people.
# Quiet when all is well; cron mails what it prints.
# Usage: bash etl/etl.sh [--as-of YYYY-MM-DD]
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$root/.venv/bin/python
if [ ! -x "$python" ]; then
    echo "etl.sh: there is no virtual environment in $root/.venv. Hint: run make etl-setup there." >&2
    exit 2
fi

ETL_NEW_RUN_ID=$(date -u +%Y%m%dT%H%M%SZ)-$$
ETL_JOURNAL=$(mktemp "${TMPDIR:-/tmp}/visitas-journal.XXXXXX") # what the scripts say, until people are told; empty: do without
export ETL_NEW_RUN_ID ETL_JOURNAL
# However the run ends, people hear of it, and that changes nothing of how it ended.
tell() {
    local status=$?
    timeout -k 5 180 "$python" "$root/etl/notify.py" "$status" || true
    rm -f "$ETL_JOURNAL"
    exit "$status"
}
trap tell EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"$python" "$root/etl/night.py" "$@"
