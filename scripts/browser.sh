#!/bin/sh
# Looks for the browser that tests open the demo's report in, and installs Chromium where this user may. Without one
# those tests are skipped; nothing else needs it.
set -u

for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done

if [ "$(id -u)" = 0 ]; then as_root=""; elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"; else as_root="none"; fi
if [ "$as_root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "browser: no Chromium here, and this user may not install it: the report's browser tests will be skipped"
    exit 0
fi
echo "browser: installing chromium, which the report's tests look with"
{ $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null ||
    echo "browser: chromium could not be installed: the report's browser tests will be skipped"
exit 0
