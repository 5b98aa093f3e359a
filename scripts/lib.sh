# Shared by the scripts here: a virtual environment with everything pinned.
# Source it from a script that has changed into the project's root.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# System libraries that Qt's wheels load but do not bring, on Debian's names.
QT_PACKAGES="libgl1 libglib2.0-0 libfontconfig1 libxext6 \
fonts-roboto-unhinted libdbus-1-3 libx11-xcb1 libxkbcommon-x11-0 \
libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 \
libxcb-render-util0 libxcb-shape0 libxcb-sync1 libxcb-xfixes0 \
libxcb-xinerama0"

find_python() {
    for name in "${PYTHON:-}" python3.12 python3.11 python3; do
        [ -n "$name" ] && command -v "$name" >/dev/null 2>&1 || continue
        if "$name" -c 'import sys; sys.exit(sys.version_info[:2] not in \
((3, 11), (3, 12)))' 2>/dev/null; then
            printf '%s\n' "$name"
            return
        fi
    done
    die "Python 3.11 or 3.12 is needed and was not found. On Debian 12:
    apt-get install python3 python3-venv
or name one: PYTHON=/path/to/python3.12 $0"
}

ensure_venv() {
    stamp=.venv/installed
    want=$(cat requirements.txt requirements/pip.txt setup.py | sha256sum)
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && return
    python=$(find_python)
    say "installing into .venv with $python (once; about a minute)"
    if ! "$python" -m venv .venv; then
        die "$python cannot make a virtual environment. On Debian:
    apt-get install python3-venv"
    fi
    # Later pips refuse tractor's metadata, which names a git address, even
    # where they are told to leave dependencies alone.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --require-hashes -r requirements/pip.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-deps --require-hashes -r requirements.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-deps --no-build-isolation -e .
    printf '%s\n' "$want" > "$stamp"
}

qt_loads() {
    QT_QPA_PLATFORM=offscreen .venv/bin/python -c '
from PyQt5.QtGui import QFontDatabase
from PyQt5.QtWidgets import QApplication
app = QApplication([])
raise SystemExit(not QFontDatabase().families())
' 2>/dev/null
}

ensure_qt() {
    qt_loads && return
    command="apt-get install -y --no-install-recommends $QT_PACKAGES"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing the system libraries that Qt needs"
        apt-get update -qq >/dev/null
        DEBIAN_FRONTEND=noninteractive $command -qq >/dev/null
    else
        die "Qt needs system libraries. Install them, then run this again:
    sudo $command"
    fi
    qt_loads || die "Qt still does not load; run this to see why:
    QT_DEBUG_PLUGINS=1 .venv/bin/python -c 'import PyQt5.QtWidgets'"
}
