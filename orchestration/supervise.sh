#!/bin/sh
# Supervises one run, so that the run outlives a crash of the daemon. POSIX sh; tested under dash and bash --posix.
#
#   supervise.sh RUN_DIR CWD DATA_KB CGROUP COMMAND [ARG...]
#
# DATA_KB: RLIMIT_DATA of the job, 0 for none. CGROUP: the directory of the run's cgroup, empty for none.
# The runner gives: fd 0 /dev/null, fd 1 the log, fd 2 RUN_DIR/shell, fd 9 RUN_DIR/lock with a flock held, and
# makes this process the leader of a session. fd 2 takes nothing but the shell's word on a job that a signal
# ended ("Terminated"), which is how 143 by exit and 143 by SIGTERM are told apart.
#
# Writes RUN_DIR/started ("PID START_TICKS BOOT_ID UPTIME run") before the job exists and RUN_DIR/exit
# ("CODE exit|signal UPTIME end") after it has ended. Everything before the job is built in: it costs one fork.

# The stop signal reaches the whole group. A handler, not '': an ignored signal would be inherited by the job.
stopped=
trap 'stopped=1' HUP INT QUIT TERM USR1 USR2 ALRM

dir=$1 cwd=$2 data_kb=$3 cgroup=$4
shift 4

# Sets ticks to field 22 of /proc/PID/stat, given what follows "PID (NAME) ", that is fields 3 and on.
take_ticks() {
    shift 19
    ticks=$1
}
read -r stat </proc/self/stat
# shellcheck disable=SC2086
take_ticks ${stat##*) }
read -r boot </proc/sys/kernel/random/boot_id
read -r uptime _ </proc/uptime

# O_EXCL: a recovery that was here first has said that this run never starts.
set -C
echo "$$ $ticks $boot $uptime run" >"$dir/started" || exit 71
set +C
# Where an acceptance test kills this process, named in the task's `env` (crash_points.py): "POINT:ATTEMPT".
crash="${ORCHESTRATOR_CRASH_AT-}" attempt="${ORCHESTRATOR_RUN_ID##*.}"
if [ "$crash" = "supervisor.started:$attempt" ]; then kill -KILL $$; fi

if [ -z "$stopped" ]; then
    (
        cd "$cwd" || exit 126
        if [ -n "$cgroup" ]; then echo 0 >"$cgroup/cgroup.procs" || exit 126; fi
        # The kernel's killer takes a job before the daemon.
        { echo 300 >/proc/self/oom_score_adj; } 2>/dev/null
        if [ "$data_kb" -gt 0 ]; then ulimit -d "$data_kb"; fi
        # A SIGTERM between the fork and the end of the handler is lost; the runner writes `stop` before it.
        if [ -e "$dir/stop" ]; then
            echo stopped >>"$dir/shell"
            exit 143
        fi
        exec "$@"
    ) 2>&1 9>&-
    code=$?
    how=exit
    # The shell says nothing of SIGINT and SIGPIPE, so 130 and 141 are taken for the signals.
    if [ -s "$dir/shell" ] || [ "$code" -eq 130 ] || [ "$code" -eq 141 ]; then how=signal; fi
else
    code=143
    how=signal
fi

# From here on nothing may stop the recording; the children below are to inherit that.
trap '' HUP INT QUIT TERM USR1 USR2 ALRM PIPE
if [ "$crash" = "supervisor.ended:$attempt" ]; then kill -KILL $$; fi
if [ "$code" -eq 127 ] && ! command -v "$1" >/dev/null 2>&1; then
    echo "supervise: command not found: $1 (look at the task's argv and at PATH=$PATH)"
fi
read -r uptime _ </proc/uptime
echo "$code $how $uptime end" >|"$dir/exit.tmp"
command -p sync -d "$dir/exit.tmp"
# Tried again: a SIGKILL meant for the job's leftovers may hit the first.
command -p mv -f "$dir/exit.tmp" "$dir/exit" ||
    command -p mv -f "$dir/exit.tmp" "$dir/exit" ||
    command -p mv -f "$dir/exit.tmp" "$dir/exit"
command -p sync "$dir"
# Seen by the daemon that started this, should the disk be full.
exit "$code"
