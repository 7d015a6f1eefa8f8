#!/usr/bin/env bash
# The stages of a run, in order; called by night.py. Every stage runs, whatever became of the one before.
# The first failing stage's status is the run's; 3 (done, but a whole file was refused) only if none failed.
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
status=0
export SMTP_PASSWORD='' SLACK_WEBHOOK_URL='' HEALTHCHECK_URL='' # empty, or a stage would read them from .env; notify.py needs them
case ${ENGINE:-} in
    spark) stages=(extract lake archive) ;;
    *) stages=(extract transform load archive) ;;
esac
for stage in "${stages[@]}"; do
    case $stage in # the secrets that the stage does not need
        transform) without=(SFTP_PASSWORD= DATABASE_URL= PGPASSWORD= ALLOW_INSECURE=true) ;; # it asks no server; PGHOST alone would be refused
        load | lake) without=(SFTP_PASSWORD=) ;;
        *) without=() ;;
    esac
    env "${without[@]}" "$root/.venv/bin/python" "$root/etl/$stage.py" || {
        code=$?
        if [ "$code" -gt 128 ] && [ -n "${ETL_JOURNAL:-}" ]; then # the stage could not say so itself
            printf '{"stage": "%s", "level": "ERROR", "message": "killed by signal %d"}\n' "$stage" $((code - 128)) >> "$ETL_JOURNAL"
        fi
        case $status in 0 | 3) status=$code ;; esac
        [ "$code" -ne 130 ] || break # interrupted at the terminal
    }
done
exit "$status"
