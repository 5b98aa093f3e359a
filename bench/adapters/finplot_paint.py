"""finplot with so many candles: ``finplot_paint.py BARS TURNS``."""
import json
import os
import statistics
import sys
import time
from importlib.metadata import version

os.environ['QT_QPA_PLATFORM'] = 'offscreen'

import finplot as fplt
import numpy as np
import pandas as pd
from pyqtgraph.Qt import QtWidgets


def timed(turns, function):
    function(0)
    taken = []
    for turn in range(1, turns + 1):
        began = time.perf_counter()
        function(turn)
        taken.append((time.perf_counter() - began) * 1e3)
    return {'median': statistics.median(taken), 'min': min(taken),
            'max': max(taken)}


def main(bars, turns):
    dice = np.random.default_rng(1)
    close = 61_685 * np.exp((dice.standard_t(4, bars) * 3e-4).cumsum() / 10)
    open_ = np.concatenate((close[:1], close[:-1]))
    reach = np.abs(dice.normal(0, 2e-4, (2, bars))) * close
    frame = pd.DataFrame({
        'open': open_, 'close': close,
        'high': np.maximum(open_, close) + reach[0],
        'low': np.minimum(open_, close) - reach[1],
    }, index=pd.date_range('2020-01-01', periods=bars, freq='min'))
    began = time.perf_counter()
    axis = fplt.create_plot('bench', init_zoom_periods=200)
    plot = fplt.candlestick_ochl(frame, ax=axis)
    fplt.show(qt_exec=False)
    view = axis.vb.win
    view.resize(1600, 900)
    app = QtWidgets.QApplication.instance()

    def paint():
        view.repaint()
        app.processEvents()
        view.grab()

    paint()
    first = (time.perf_counter() - began) * 1e3

    def tick(turn):
        price = close[-1] + (turn % 7 - 3) * 0.01
        frame.iloc[-1, 1] = price
        plot.update_data(frame)
        paint()

    def pan(turn):
        low, high = (axis.vb.targetRect().left(), axis.vb.targetRect().right())
        step = (high - low) * (0.1 if turn % 2 else -0.1)
        axis.vb.update_y_zoom(low + step, high + step)
        paint()

    def zoom(turn):
        rect = axis.vb.targetRect()
        middle, half = rect.center().x(), rect.width() / 2
        half *= 1.25 if turn % 2 else 0.8
        axis.vb.update_y_zoom(middle - half, middle + half)
        paint()

    def full(turn):
        axis.vb.update_y_zoom(0, bars - 1 + turn % 2)
        plot.repaint() if hasattr(plot, 'repaint') else None
        paint()

    found = {'first paint of a feed':
             {'median': first, 'min': first, 'max': first}}
    for name, function in (
        ('tick', tick), ('pan', pan), ('zoom', zoom),
        ('full view drawn anew', full), ('full view, tick', tick),
    ):
        try:
            found[name] = timed(turns, function)
        except Exception as err:
            print(name, repr(err), file=sys.stderr)
    print(json.dumps({**found, 'version': version('finplot')}), flush=True)


if __name__ == '__main__':
    main(int(sys.argv[1]), int(sys.argv[2]))
