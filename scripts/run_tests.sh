#!/bin/sh
# Run the tests in two processes at once: those that only compute, and those that start processes. Arguments go to
# both. What only computes gives way, so that the real daemons of the others have their time.
set -u

cd "$(dirname "$0")/.."
pytest=".venv/bin/python -m pytest"
said=$(mktemp)
computing=''

clean_up() {
    if [ -n "$computing" ]; then kill "$computing" 2>/dev/null; fi
    rm -f "$said"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

nice -n 10 $pytest "$@" tests/unit tests/properties tests/backtest tests/test_task_scheduler.py >"$said" 2>&1 &
computing=$!
echo "== with real files and processes"
$pytest "$@" tests/integration tests/acceptance tests/browser
first=$?
wait "$computing"
second=$?
computing=''
echo "== computing alone"
cat "$said"
[ "$first" = 0 ] && [ "$second" = 0 ]
