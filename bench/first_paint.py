"""
The chart up to its first painted frame: ``python -m bench.first_paint SYM``.

``piker chart`` as it is, but for one thing: once the window shows the feed
it is painted at once, a line says so, and the process ends.
"""
from __future__ import annotations

import os
import sys

from piker.cli.chart import chart
from piker.ui.display import open_application


def main(symbol: str) -> None:
    open_application(offscreen=True)
    from piker.ui import window

    show = window.ChartWindow.show_flume

    def show_and_tell(self: window.ChartWindow, flume: object) -> None:
        show(self, flume)
        self.paint_now()
        print('painted', flush=True)
        self.close()

    window.ChartWindow.show_flume = show_and_tell
    os.environ['QT_QPA_PLATFORM'] = 'offscreen'
    chart([symbol])


if __name__ == '__main__':
    main(sys.argv[1])
