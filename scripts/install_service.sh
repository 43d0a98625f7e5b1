#!/bin/sh
# Install, or remove, the systemd services: install_service.sh install | uninstall [--no-setup] [--no-enable]
#
# The code goes to PREFIX (/opt/daily-orchestrator), unless it already is there; user, folders, units (the daemon's,
# the dashboard's, the display's), the dashboard's token and the orchestratorctl command follow. Running it again is
# an upgrade: settings, secrets, tasks and state are never overwritten.
# DESTDIR (for making a package) copies files only: no user, no virtual environment, nothing started.
#   --no-setup   the virtual environment in PREFIX is already in place
#   --no-enable  do not start the services at boot
set -eu

ACTION=${1:-}
[ $# -gt 0 ] && shift
SETUP=yes
ENABLE=yes
for option; do
    case $option in
        --no-setup) SETUP=no ;;
        --no-enable) ENABLE=no ;;
        *)
            echo "install_service: unknown option '$option'; there are --no-setup and --no-enable" >&2
            exit 2
            ;;
    esac
done

NAME=daily-orchestrator
DESTDIR=${DESTDIR:-}
PREFIX=${PREFIX:-/opt/$NAME}
SOURCE=$(cd "$(dirname "$0")/.." && pwd -P)
CODE=$DESTDIR$PREFIX
ETC=$DESTDIR/etc/$NAME
UNITS=$DESTDIR/etc/systemd/system
COMMAND=$DESTDIR/usr/local/bin/orchestratorctl
TOKEN=$ETC/credentials/dashboard_token

say() { printf '%s\n' "install-service: $*"; }
die() {
    printf '%s\n' "install-service: $*" >&2
    exit 1
}
live() { [ -z "$DESTDIR" ]; }
# Only talk to a systemd that runs (not in a container, a chroot or an image being built).
booted() { live && [ -d /run/systemd/system ]; }

copy_code() {
    mkdir -p "$CODE"
    if [ "$SOURCE" = "$(cd "$CODE" && pwd -P)" ]; then
        say "using the checkout in $PREFIX"
        return
    fi
    # What is about to be replaced must be an earlier copy of this, never a person's folder.
    if [ -n "$(ls -A "$CODE")" ] && ! grep -qs '^name = "daily-orchestrator"' "$CODE/pyproject.toml"; then
        die "$CODE is not empty and holds no daily-orchestrator; choose an empty PREFIX"
    fi
    say "copying the code to $PREFIX"
    # Files that the last version had and this one has not must go, or they could still be imported.
    for entry in "$CODE"/* "$CODE"/.ci; do
        [ -e "$entry" ] || continue
        case ${entry##*/} in var | logs) ;; *) rm -rf "$entry" ;; esac
    done
    (cd "$SOURCE" && tar -c --exclude=./.git --exclude='./.venv*' --exclude=./var --exclude=./logs --exclude='./.*_cache' \
        --exclude=./.hypothesis --exclude='./.coverage*' --exclude=./htmlcov --exclude=./build --exclude=./.env \
        --exclude=__pycache__ -f - .) | (cd "$CODE" && tar -x --no-same-owner -f -)
}

# The units name /opt/daily-orchestrator; elsewhere they are rewritten.
unit() { sed "s#/opt/daily-orchestrator#$PREFIX#g" "$1" >"$2" && chmod 0644 "$2"; }

install_units() {
    mkdir -p "$UNITS/$NAME.service.d"
    for each in "$NAME.service" "$NAME-alert@.service" "$NAME-dashboard.service" "$NAME-display.service"; do
        unit "$SOURCE/systemd/$each" "$UNITS/$each"
    done
    live || return 0
    version=$(systemctl --version 2>/dev/null | awk 'NR == 1 { print $2 + 0 }')
    if [ "${version:-0}" -ge 254 ]; then
        unit "$SOURCE/systemd/drop-ins/cgroup.conf" "$UNITS/$NAME.service.d/50-cgroup.conf"
        say "systemd $version: each run gets its own memory cgroup where the controller is on"
    else
        rm -f "$UNITS/$NAME.service.d/50-cgroup.conf"
        say "systemd ${version:-unknown}: runs are watched by their resident memory (cgroups need 254)"
    fi
}

install_settings() {
    mkdir -p "$ETC/credentials"
    chmod 0755 "$ETC"
    chmod 0700 "$ETC/credentials"
    if [ ! -e "$ETC/$NAME.env" ]; then
        install -m 0644 "$SOURCE/systemd/$NAME.env" "$ETC/$NAME.env"
    fi
    if [ ! -e "$ETC/tasks.toml" ]; then
        printf '# Your own tasks; two worked examples: %s/tasks.example.toml\n' "$PREFIX" >"$ETC/tasks.toml"
    fi
    if [ ! -e "$ETC/alerts.toml" ]; then
        printf '# Your own rules for alerts; worked examples: %s/alerts.example.toml\n' "$PREFIX" >"$ETC/alerts.toml"
    fi
}

# A token that nobody has chosen and this never prints; on the box itself, never in a package.
make_token() {
    [ -e "$TOKEN" ] && return
    (umask 077 && od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$TOKEN.new" && mv "$TOKEN.new" "$TOKEN")
    say "made the dashboard's token: sudo cat $TOKEN"
}

install_command() {
    mkdir -p "${COMMAND%/*}"
    unit "$SOURCE/systemd/orchestratorctl.sh" "$COMMAND"
    chmod 0755 "$COMMAND"
}

make_user() {
    getent group "$NAME" >/dev/null || groupadd --system "$NAME"
    getent passwd "$NAME" >/dev/null ||
        useradd --system --gid "$NAME" --home-dir "/var/lib/$NAME" --no-create-home \
            --shell /usr/sbin/nologin --comment "Daily orchestrator" "$NAME"
    # A group that this machine lacks (a server has no gpio) is left out; naming it in the unit would be fatal.
    for group in gpio i2c video; do
        if getent group "$group" >/dev/null; then usermod --append --groups "$group" "$NAME"; fi
    done
}

make_folders() {
    for folder in lib log cache; do
        install -d -m 0750 -o "$NAME" -g "$NAME" "/var/$folder/$NAME"
    done
}

make_environment() {
    if [ "$SETUP" = yes ]; then sh "$CODE/scripts/setup.sh" run; fi
    [ -x "$CODE/.venv/bin/python" ] || die "there is no $PREFIX/.venv; run again without --no-setup"
    # The service cannot write there, and would compile every module at every start.
    (cd "$CODE" && .venv/bin/python -m compileall -q -x '/(\.venv|tests|var)/' .) || say "some modules do not compile"
}

install_all() {
    live && [ "$(id -u)" != 0 ] && die "needs root: sudo make install-service (or set DESTDIR to make a package)"
    copy_code
    install_units
    install_settings
    install_command
    if ! live; then
        say "files are in $DESTDIR; on the box itself run: $PREFIX/scripts/install_service.sh install"
        return
    fi
    make_user
    make_folders
    make_token
    make_environment
    if booted; then
        systemctl daemon-reload
        if [ "$ENABLE" = yes ]; then systemctl enable --quiet "$NAME.service" "$NAME-dashboard.service"; fi
    fi
    cat <<TEXT

Installed. What comes next:
  settings   $ETC/$NAME.env        (every name: $PREFIX/.env.example)
  own tasks  $ETC/tasks.toml
  alerts     $ETC/alerts.toml      (docs/alerts.md: where they go and which there are)
  secrets    $ETC/credentials/     (then systemd/drop-ins/credentials.conf)
  start      systemctl restart $NAME $NAME-dashboard
  watch      orchestratorctl status;  journalctl -fu $NAME
  dashboard  http://127.0.0.1:8480/  (from your desk: ssh -L 8480:127.0.0.1:8480 THIS-BOX); its token: $TOKEN
  display    if there is one, or a button (docs/hardware.md): systemctl enable --now $NAME-display
docs/operations.md has the rest: upgrade, roll back, move, restore; docs/dashboard.md how to listen for the home network.
TEXT
}

uninstall_all() {
    live && [ "$(id -u)" != 0 ] && die "needs root: sudo make uninstall-service"
    for each in "$NAME-display.service" "$NAME-dashboard.service" "$NAME.service"; do
        if booted; then systemctl disable --now --quiet "$each" 2>/dev/null || :; fi
        rm -f "$UNITS/$each"
    done
    rm -rf "$UNITS/$NAME-alert@.service" "$UNITS/$NAME.service.d/50-cgroup.conf" "$COMMAND"
    rmdir "$UNITS/$NAME.service.d" 2>/dev/null || :
    if booted; then systemctl daemon-reload; fi
    say "removed. Kept: $PREFIX, $ETC, /var/lib/$NAME, /var/log/$NAME, your own drop-ins and the user $NAME"
}

case $ACTION in
    install) install_all ;;
    uninstall) uninstall_all ;;
    *)
        echo "usage: install_service.sh install | uninstall [--no-setup] [--no-enable]" >&2
        exit 2
        ;;
esac
