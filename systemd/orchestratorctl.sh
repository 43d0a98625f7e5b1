#!/bin/sh
# orchestratorctl for the installed service: the service's user, settings and folders.
set -eu

HOME_OF_CODE=/opt/daily-orchestrator
SERVICE_USER=daily-orchestrator

if [ "$(id -un)" != "$SERVICE_USER" ]; then
    if [ "$(id -u)" = 0 ]; then exec runuser -u "$SERVICE_USER" -- "$0" "$@"; fi
    exec sudo -u "$SERVICE_USER" "$0" "$@"
fi

cd /var/lib/daily-orchestrator
export ORCHESTRATOR_STATE_DIR=/var/lib/daily-orchestrator ORCHESTRATOR_LOG_DIR=/var/log/daily-orchestrator
export ORCHESTRATOR_TASKS=/etc/daily-orchestrator/tasks.toml
export ORCHESTRATOR_OVERRIDES=/etc/daily-orchestrator/overrides.csv
export ORCHESTRATOR_ALERTS=/etc/daily-orchestrator/alerts.toml
# The service's own files, read as systemd reads them: NAME=value lines, nothing is executed.
for file in "$HOME_OF_CODE/systemd/daily-orchestrator.env" /etc/daily-orchestrator/daily-orchestrator.env; do
    [ -r "$file" ] || continue
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
            [A-Za-z_]*=\"*\") value=${line#*=\"} && export "${line%%=*}=${value%\"}" ;;
            [A-Za-z_]*=*) export "$line" ;;
        esac
    done <"$file"
done
exec "$HOME_OF_CODE/.venv/bin/orchestratorctl" "$@"
