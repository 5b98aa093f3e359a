"""The program as a whole: trio in Qt, from start to end."""
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trio
from fake_feed import FakeFeed, live_market

from piker.errors import BadInput, NoDisplay, NoSuchSymbol
from piker.ui.app import run_chart
from piker.ui.display import require_display

HERE = Path(__file__).parent


def window():
    from PyQt5.QtWidgets import QApplication

    from piker.ui.window import ChartWindow

    found, = (
        w for w in QApplication.topLevelWidgets()
        if isinstance(w, ChartWindow) and w.isVisible()
    )
    return found


def run(feed, symbol='btcusdt.sim', **options):
    run_chart(feed.open, symbol, size=(900, 600), **options)


def test_closing_the_window_leaves_the_feed(app, flume):
    async def close(flume):
        window().close()

    feed = FakeFeed({'btcusdt.sim': flume}, drive=close)
    run(feed)
    assert feed.log == ['open btcusdt.sim', 'close btcusdt.sim']


def test_interrupt_leaves_the_feed(app, flume):
    async def interrupt(flume):
        signal.raise_signal(signal.SIGINT)

    feed = FakeFeed({'btcusdt.sim': flume}, drive=interrupt)
    before = signal.getsignal(signal.SIGINT)
    run(feed)
    assert feed.log == ['open btcusdt.sim', 'close btcusdt.sim']
    assert signal.getsignal(signal.SIGINT) is before


def test_what_the_feed_raises_comes_out(app, flume):
    feed = FakeFeed({'btcusdt.sim': flume}, error=ZeroDivisionError('oops'))
    with pytest.raises(ZeroDivisionError, match='oops'):
        run(feed)
    assert feed.log[-1] == 'close btcusdt.sim'


def test_what_a_qt_callback_raises_comes_out(app, flume):
    async def spoil(flume):
        made = window()
        made.commands._commands.clear()
        made.live_button.click()

    feed = FakeFeed({'btcusdt.sim': flume}, drive=spoil)
    with pytest.raises(BadInput, match='no command'):
        run(feed)
    assert feed.log[-1] == 'close btcusdt.sim'


def test_a_screenshot_shows_the_chart(app, flume, tmp_path):
    from PyQt5.QtGui import QImage

    path = tmp_path / 'chart.png'
    feed = FakeFeed({'btcusdt.sim': flume}, drive=live_market)
    run(feed, screenshot=path, after_s=0.1)
    assert feed.log[-1] == 'close btcusdt.sim'
    image = QImage(str(path)).convertToFormat(QImage.Format_RGB32)
    assert (image.width(), image.height()) == (900, 600)
    raw = image.constBits().asarray(image.sizeInBytes())
    shot = np.frombuffer(raw, np.uint8).reshape(600, 900, 4)[..., 2::-1]
    for wanted in ((0x26, 0xA9, 0x81), (0xF0, 0x46, 0x5A)):
        assert (shot == wanted).all(axis=-1).sum() > 200
    assert len(np.unique(shot[:58].reshape(-1, 3), axis=0)) > 50


def test_a_screenshot_of_nothing_is_an_error(app, flume, tmp_path):
    path = tmp_path / 'chart.png'
    with pytest.raises(NoSuchSymbol):
        run(FakeFeed({}), 'nope.sim', screenshot=path, after_s=0)
    assert not path.exists()


def test_files_that_cannot_be_written(app, tmp_path):
    feed = FakeFeed({})
    with pytest.raises(BadInput, match='does not exist'):
        run(feed, screenshot=tmp_path / 'no' / 'chart.png')
    with pytest.raises(BadInput, match='is a directory'):
        run(feed, screenshot=tmp_path)
    assert feed.log == []


def test_no_display_says_the_way_out(monkeypatch):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY', 'QT_QPA_PLATFORM'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NoDisplay, match=r'xvfb-run.*--screenshot'):
        require_display(offscreen=False)
    require_display(offscreen=True)
    monkeypatch.setenv('DISPLAY', ':4711')
    with pytest.raises(NoDisplay, match='does not answer'):
        require_display(offscreen=False)
    monkeypatch.setenv('QT_QPA_PLATFORM', 'offscreen')
    require_display(offscreen=False)


STUBBORN = '''
import sys
sys.path.insert(0, {here!r})
import signal, trio
from contextlib import asynccontextmanager
from piker.ui.app import run_chart

@asynccontextmanager
async def open_feed(symbols):
    signal.raise_signal(signal.SIGINT)
    with trio.CancelScope(shield=True):
        await trio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()
    yield

try:
    run_chart(open_feed, 'btcusdt.sim')
except KeyboardInterrupt:
    sys.stdout.write('interrupted')
'''


def test_a_second_interrupt_does_not_wait(app):
    done = subprocess.run(
        [sys.executable, '-c', STUBBORN.format(here=str(HERE))],
        env={**os.environ, 'QT_QPA_PLATFORM': 'offscreen'},
        capture_output=True, text=True, timeout=30, check=False,
    )
    assert 'interrupted' in done.stdout, done.stderr


def test_trio_goes_on_while_qt_is_busy(app, flume):
    seen = []

    async def drive(flume):
        for _ in range(5):
            await trio.sleep(0.001)
            flume.trade(flume.last + 0.5)
            seen.append(window().frames)
        window().close()

    run(FakeFeed({'btcusdt.sim': flume}, drive=drive))
    assert len(seen) == 5
