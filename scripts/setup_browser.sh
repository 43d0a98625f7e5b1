#!/bin/sh
# Install the browser that the dashboard's tests look with: Debian's chromium and its driver. Without it they are
# skipped, so this never fails: it says what is missing.
set -u

have_both() {
    { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1 &&
        command -v chromedriver >/dev/null 2>&1
}

wanted="apt-get install --no-install-recommends chromium chromium-driver"
if have_both; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "setup_browser: no chromium with chromedriver: the dashboard's tests in a browser are skipped." >&2
    echo "setup_browser: as root on Debian or Raspberry Pi OS:  $wanted" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && $wanted -y -qq; } >/dev/null 2>&1
have_both || echo "setup_browser: that failed and the tests in a browser are skipped:  $wanted" >&2
exit 0
