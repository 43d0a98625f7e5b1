#!/bin/sh
# Make or repair this checkout's virtual environment from its lock files: setup.sh run | brokers | learn | display |
# dev; or, as setup.sh peers, .venv-peers from requirements-peers.txt: the engines that slow tests compare ours with.
#
# Done once, it answers in milliseconds and needs no network: stamps in it name everything the environment was made
# from. `brokers`, `learn` and `display` are extras: an environment that has one keeps it through every
# repair, and may have all. PYTHON chooses the interpreter, 3.11 or newer.
set -eu

KIND=${1:-run}
PYTHON=${PYTHON:-python3}
unset PYTHONHOME PYTHONPATH

say() { printf '%s\n' "setup: $*" >&2; }
die() {
    say "$@"
    exit 1
}

cd "$(dirname "$0")/.."
ROOT=$(pwd -P)
VENV=$ROOT/.venv

case $KIND in
    run | brokers | learn | display | dev) ;;
    peers) VENV=$ROOT/.venv-peers ;;
    *) die "unknown kind '$KIND': it is 'run' (what the box needs), 'brokers' (the packages of Alpaca and IBKR too)," \
        "'learn' (scikit-learn too), 'display' (luma.oled too), 'dev' (everything, with tests and checks) or 'peers'" \
        "(.venv-peers)" ;;
esac

# The lock file of one kind.
lock() {
    case $1 in
        run) echo requirements.lock ;;
        peers) echo requirements-peers.txt ;;
        *) echo "requirements-$1.lock" ;;
    esac
}

# HELD: the extras that are there already. KINDS: what is in place, each with a stamp of its own, when this ends.
# LOCKS: where their packages are named; the lock of dev alone holds all that the others do.
choose() {
    HELD=
    KINDS=run
    LOCKS=$(lock run)
    for extra in brokers learn display; do
        if [ -f "$VENV/.setup-$extra" ]; then
            HELD="$HELD $extra"
        elif [ "$KIND" != "$extra" ]; then
            continue
        fi
        KINDS="$KINDS $extra"
        LOCKS="$LOCKS $(lock "$extra")"
    done
    case $KIND in
        dev) KINDS='run brokers learn display dev' ;;
        peers) KINDS=peers ;;
        *) return 0 ;;
    esac
    LOCKS=$(lock "$KIND")
}

# Print major.minor of the chosen Python, or explain what is wrong with it. (A new patch release keeps the packages.)
python_version() {
    command -v "$PYTHON" >/dev/null 2>&1 ||
        die "there is no '$PYTHON' here. Debian, Raspberry Pi OS: sudo apt install python3 python3-venv"
    facts=$("$PYTHON" -I -S -c 'import sys
print("%d.%d" % sys.version_info[:2], int(sys.version_info >= (3, 11)), int(sys.maxsize > 2**32))') ||
        die "'$PYTHON' does not run as a Python interpreter. Choose another: make setup PYTHON=/usr/bin/python3"
    # The words of one line are wanted apart.
    # shellcheck disable=SC2086
    set -- $facts
    [ "$2" = 1 ] ||
        die "'$PYTHON' is Python $1, and 3.11 or newer is needed (Debian 12, Raspberry Pi OS Bookworm, or later)." \
            "If a newer one is installed, name it: make setup PYTHON=python3.12"
    [ "$3" = 1 ] ||
        die "'$PYTHON' is a 32-bit Python, for which pyarrow does not exist. Use a 64-bit system: on a Raspberry Pi 3" \
            "or newer, the 64-bit Raspberry Pi OS"
    printf '%s\n' "$1"
}

# Everything that one kind depends on, in one line; the path too, as an environment cannot be moved.
key() {
    sums=$(cat "$(lock "$1")" requirements-sample.lock pyproject.toml scripts/setup.sh | sha256sum)
    printf '%s\n' "${sums%% *} python-$VERSION $ROOT"
}

# The stamps count only while the interpreter behind them still answers.
in_place() {
    [ -x "$VENV/bin/python" ] || return 1
    for kind in $KINDS; do
        [ -f "$VENV/.setup-$kind" ] && [ "$(cat "$VENV/.setup-$kind")" = "$(key "$kind")" ] || return 1
    done
}

# An environment that cannot be used (cut off while it was made, moved, of another Python) is made again from nothing.
usable() {
    [ -x "$VENV/bin/python" ] && [ -f "$VENV/pyvenv.cfg" ] && [ ! -e "$VENV/.setup-busy" ] || return 1
    [ "$(cat "$VENV/.root" 2>/dev/null || printf '%s' "$ROOT")" = "$ROOT" ] || return 1
    [ "$("$VENV/bin/python" -I -c 'import sys, pip; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$VERSION" ]
}

make_venv() {
    # Inside an activated environment `python3` is the one about to be replaced: ask it for its maker.
    base=$("$PYTHON" -I -S -c 'import sys; print(getattr(sys, "_base_executable", None) or sys.executable)')
    "$base" -I -c 'import venv, ensurepip' 2>/dev/null ||
        die "Python's venv module is not complete (no ensurepip). Debian, Raspberry Pi OS:" \
            "sudo apt install python$VERSION-venv (or python3-venv), then the same command again"
    say "making ${VENV##*/} with Python $VERSION"
    rm -rf "$VENV"
    mkdir -p "$VENV" && : >"$VENV/.setup-busy" && "$base" -m venv "$VENV" ||
        die "could not make $VENV; the lines above say why. Is the disk full, or the folder not yours?"
    printf '%s' "$ROOT" >"$VENV/.root"
}

# A failure pip reports leaves whole packages behind; only a kill or a power cut leaves the mark.
failed() {
    rm -f "$VENV/.setup-busy"
    die "$@"
}

pip() { "$VENV/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

install() {
    say "installing what $LOCKS names (needs the network, once)"
    if [ "$KIND" = peers ]; then
        pip install --quiet -r "$LOCKS"
        return
    fi
    for file in $LOCKS; do pip install --quiet --require-hashes -r "$file" || return 1; done
    pip install --quiet --require-hashes --no-deps -r requirements-sample.lock
}

# This checkout itself, editable: its own modules and the orchestratorctl command. Nothing is fetched.
install_self() {
    pip install --quiet --no-index --no-deps --no-build-isolation --editable . ||
        failed "this checkout could not be put into .venv; the lines above say why"
}

# From Python 3.13 on lgpio exists only as the system's package; show that one file pair, and no more, to the venv.
link_lgpio() {
    [ "$(uname -m)" = aarch64 ] || return 0
    "$VENV/bin/python" -I -c 'import importlib.util as u, sys; sys.exit(u.find_spec("lgpio") is None)' && return 0
    site=$("$VENV/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    for file in /usr/lib/python3/dist-packages/lgpio.py \
        /usr/lib/python3/dist-packages/_lgpio.cpython-"$(printf '%s' "$VERSION" | tr -d .)"-*.so; do
        [ -e "$file" ] && ln -sf "$file" "$site/" && linked=yes
    done
    [ -n "${linked:-}" ] || say "no lgpio: the LEDs stay dark. On a Raspberry Pi: sudo apt install python3-lgpio," \
        "then rm .venv/.setup-$KIND and the same command again"
}

VERSION=$(python_version)
choose
in_place && exit 0

# Two commands started at once take turns; the lock goes with the process.
exec 9<"$ROOT"
if command -v flock >/dev/null 2>&1; then flock 9; fi
choose
in_place && exit 0

usable || make_venv
for kind in run brokers learn display dev peers; do rm -f "$VENV/.setup-$kind"; done
# Empty, it is no stamp; but a repair that is cut off is then still one of an environment with that extra.
for extra in $HELD; do : >"$VENV/.setup-$extra"; done
: >"$VENV/.setup-busy"
install || failed "the packages could not be installed; the lines above say why. Without a network: connect once, then" \
    "the same command again; what is already there is kept"
if [ "$KIND" != peers ]; then
    install_self
    link_lgpio
fi
rm -f "$VENV/.setup-busy"
for kind in $KINDS; do
    key "$kind" >"$VENV/.setup-$kind.new"
    mv "$VENV/.setup-$kind.new" "$VENV/.setup-$kind"
done
say "done: ${VENV##*/} ($KINDS)"
