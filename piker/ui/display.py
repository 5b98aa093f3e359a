"""Find out whether Qt can open a window before it aborts the process."""
from __future__ import annotations

import ctypes
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NoDisplay

if TYPE_CHECKING:
    from PyQt5.QtCore import QMessageLogContext, QtMsgType
    from PyQt5.QtWidgets import QApplication

__all__ = ['open_application', 'require_display']

_WAY_OUT = (
    'run it on a desktop, under `xvfb-run`, or let it write a picture with '
    '--screenshot FILE'
)


def require_display(*, offscreen: bool) -> None:
    """
    Raise `NoDisplay` where a window cannot be opened.

    ``offscreen`` says that none is needed.  A choice of Qt platform in the
    environment is trusted.
    """
    if offscreen or os.environ.get('QT_QPA_PLATFORM'):
        return
    if os.environ.get('WAYLAND_DISPLAY'):
        return
    name = os.environ.get('DISPLAY')
    if not name:
        raise NoDisplay(
            'no display: neither DISPLAY nor WAYLAND_DISPLAY is set; '
            f'{_WAY_OUT}'
        )
    if not _x_answers(name):
        raise NoDisplay(
            f'the X display {name!r} of DISPLAY does not answer; {_WAY_OUT}'
        )


def _x_answers(name: str) -> bool:
    # Qt's own connection attempt ends in abort(), so try first as it does.
    try:
        xcb = ctypes.CDLL('libxcb.so.1')
    except OSError:
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(name.encode(), None)
    failed = xcb.xcb_connection_has_error(connection)
    xcb.xcb_disconnect(connection)
    return not failed


def _require_plugin(platform: str) -> None:
    from PyQt5.QtCore import QLibraryInfo

    folder = Path(QLibraryInfo.location(QLibraryInfo.PluginsPath))
    plugin = folder / 'platforms' / f'libq{platform}.so'
    if not plugin.exists():
        return
    try:
        ctypes.CDLL(str(plugin))
    except OSError as err:
        raise NoDisplay(
            f'Qt cannot use the platform {platform!r}: {err}; install the '
            'system package that has this library'
        ) from err


def _to_log(
    kind: QtMsgType, context: QMessageLogContext, text: str | None
) -> None:
    # Qt's own words go to stderr otherwise, in the midst of ours.
    from PyQt5.QtCore import QtCriticalMsg, QtFatalMsg

    grave = kind in {QtCriticalMsg, QtFatalMsg}
    level = logging.ERROR if grave else logging.DEBUG
    logging.getLogger('piker.ui.qt').log(level, '%s', text)


def open_application(*, offscreen: bool) -> QApplication:
    """
    The process's `QApplication`, made now or before.

    Raises `NoDisplay` when Qt or what it needs from the system is missing.
    """
    try:
        from PyQt5.QtCore import Qt, qInstallMessageHandler
        from PyQt5.QtWidgets import QApplication
    except ImportError as err:
        raise NoDisplay(
            f'Qt cannot be loaded: {err}; on Debian install libgl1, '
            'libglib2.0-0, libfontconfig1 and libxext6'
        ) from err
    have = QApplication.instance()
    if isinstance(have, QApplication):
        return have
    chosen = os.environ.get('QT_QPA_PLATFORM')
    arguments = ['piker']
    if offscreen and not chosen:
        arguments += ['-platform', 'offscreen']
    elif not chosen and not os.environ.get('WAYLAND_DISPLAY'):
        _require_plugin('xcb')
    qInstallMessageHandler(_to_log)
    QApplication.setAttribute(Qt.AA_EnableHighDpiScaling)
    QApplication.setAttribute(Qt.AA_UseHighDpiPixmaps)
    # Whole device pixels per logical one: lines of one pixel stay crisp.
    QApplication.setHighDpiScaleFactorRoundingPolicy(
        Qt.HighDpiScaleFactorRoundingPolicy.Round
    )
    app = QApplication(arguments)
    app.setApplicationName('piker')
    app.setDesktopFileName('piker')
    return app
