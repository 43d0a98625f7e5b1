#!/bin/sh
# Says hello and how long the box has been up. The first worked example of docs/tasks.md.
set -eu

name="${1:-box}"
uptime_s="$(cut -d. -f1 /proc/uptime)"
printf 'Hello %s, up for %s s.\n' "$name" "$uptime_s"

# What a job writes here, one JSON object, is kept with its run and shown by `orchestratorctl runs`.
if [ -n "${ORCHESTRATOR_RESULT:-}" ]; then
    printf '{"uptime_s": %s}\n' "$uptime_s" > "$ORCHESTRATOR_RESULT"
fi
