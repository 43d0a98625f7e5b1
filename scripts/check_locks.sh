#!/bin/sh
# Refuse lock files that name a download address or a requirement without a hash, and a list of the peers that names
# an address or leaves a version open.
set -eu

cd "$(dirname "$0")/.."
failed=0
for lock in requirements*.lock requirements-peers.txt; do
    [ -e "$lock" ] || continue
    if grep -nE '://|^ *(-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host|-e|--editable)|[a-z0-9\]] @ ' "$lock"; then
        echo "check-lock: $lock names an address (lines above)" >&2
        failed=1
    fi
    case $lock in *.txt)
        if grep -vnE '^(#.*)?$|^[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ; .+)?$' "$lock"; then
            echo "check-lock: $lock has lines that pin no version (above): name==version" >&2
            failed=1
        fi
        continue
        ;;
    esac
    # A requirement's line ends in a backslash and the next one holds its first hash.
    awk -v lock="$lock" '
        wanted && !/^ +--hash=sha256:[0-9a-f]+( \\)?$/ { bad = 1; print lock ": no hash after: " wanted }
        { wanted = "" }
        /^[A-Za-z0-9]/ { wanted = $0; count++ }
        /^[A-Za-z0-9]/ && !/==/ { bad = 1; print lock ": not pinned: " $0 }
        END { if (wanted || !count) { bad = 1; print lock ": ends without a hash, or is empty" } exit bad }
    ' "$lock" >&2 || failed=1
done
[ "$failed" = 0 ] && echo "check-lock: versions and hashes only, no address"
exit "$failed"
