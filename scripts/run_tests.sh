#!/bin/sh
# Run the tests in two processes at once: those that compute, some of them on files, and those that start processes.
# Arguments go to both. What computes gives way, so that the real daemons of the others have their time.
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

# Of tests/integration those that start next to nothing: with them both halves take as long.
cd tests/integration
on_files=$(ls -d test_dashboard_*.py test_adaptive_*.py test_run_execution*.py test_simulat*.py test_bars.py \
    test_calendar_golden.py test_cvxpy_oracle.py test_data_jobs.py test_drawing.py test_intraday_bars.py \
    test_profile_jobs.py test_replay.py test_symbols_job.py test_validation_jobs.py |
    grep -vx -e test_dashboard_actions.py -e test_adaptive_job.py | sed 's#^#tests/integration/#')
cd ../..
nice -n 10 $pytest "$@" tests/unit tests/properties tests/backtest tests/test_task_scheduler.py $on_files >"$said" 2>&1 &
computing=$!
echo "== with real files and processes"
$pytest "$@" $(printf -- '--ignore=%s ' $on_files) tests/integration tests/acceptance tests/browser
first=$?
wait "$computing"
second=$?
computing=''
echo "== computing alone"
cat "$said"
[ "$first" = 0 ] && [ "$second" = 0 ]
