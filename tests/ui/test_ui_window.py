"""The window against live shared memory, hands and eyes included."""
import numpy as np
import pytest
from PyQt5.QtCore import QEvent, QPoint, QPointF, Qt
from PyQt5.QtGui import QImage, QMouseEvent, QWheelEvent
from PyQt5.QtTest import QTest

from piker.data.ticks import FeedState
from piker.errors import DataError
from piker.ui.header import pill_of
from piker.ui.theme import Palette


def pixels(image):
    image = image.convertToFormat(QImage.Format_RGB888)
    raw = image.constBits().asarray(image.sizeInBytes())
    rows = np.frombuffer(raw, np.uint8).reshape(image.height(), -1)
    return rows[:, :image.width() * 3].reshape(image.height(), -1, 3).copy()


def count(shot, name):
    wanted = [int(name[n:n + 2], 16) for n in (1, 3, 5)]
    return int((shot == wanted).all(axis=-1).sum())


def send(canvas, kind, x, y, buttons=Qt.LeftButton):
    button = buttons if kind != QEvent.MouseMove else Qt.NoButton
    event = QMouseEvent(
        kind, QPointF(x, y), button, buttons, Qt.NoModifier
    )
    {
        QEvent.MouseButtonPress: canvas.mousePressEvent,
        QEvent.MouseMove: canvas.mouseMoveEvent,
        QEvent.MouseButtonRelease: canvas.mouseReleaseEvent,
        QEvent.MouseButtonDblClick: canvas.mouseDoubleClickEvent,
    }[kind](event)


def drag(canvas, start, stop):
    send(canvas, QEvent.MouseButtonPress, *start)
    send(canvas, QEvent.MouseMove, *stop)
    send(canvas, QEvent.MouseButtonRelease, *stop)


def turn(canvas, notches, x, y):
    at = QPoint(x, y)
    canvas.wheelEvent(QWheelEvent(
        QPointF(at), QPointF(at), QPoint(), QPoint(0, 120 * notches),
        Qt.NoButton, Qt.NoModifier, Qt.NoScrollPhase, False,
    ))


def test_candles_and_words_are_on_the_picture(chart):
    shot = pixels(chart.picture())
    assert count(shot, Palette.up) > 500
    assert count(shot, Palette.down) > 500
    assert count(shot, Palette.background) > shot.shape[0] * shot.shape[1] / 3
    axis = shot[60:640, -80:]
    assert len(np.unique(axis.reshape(-1, 3), axis=0)) > 20
    assert '61,685.99' in chart.windowTitle()
    assert 'BTCUSDT' in chart.header.texts


def test_a_tick_redraws_the_newest_bar_only(chart, flume, app):
    flume.trade(flume.last)
    chart.on_frame()
    app.processEvents()
    drawn, frames = chart.canvas.picture.drawn, chart.frames
    for n in range(20):
        flume.trade(flume.last + flume.tick * (n % 3 - 1), size=1e-9)
        chart.on_frame()
    assert chart.frames > frames
    assert chart.canvas.picture.drawn == drawn
    assert chart.canvas.frame_scene.live.close[-1] == flume.last


def test_nothing_new_means_no_frame(chart, flume, monkeypatch):
    monkeypatch.setattr('time.time', lambda: flume.now_s)
    chart.on_frame()
    frames = chart.frames
    chart.on_frame()
    chart.on_frame()
    assert chart.frames == frames


def test_a_new_bar_moves_the_view(chart, flume):
    left = chart.canvas.view.left
    flume.roll(60)
    chart.on_frame()
    assert chart.canvas.view.left == left + 1
    chart.commands.run('view.back')
    left = chart.canvas.view.left
    flume.roll(60, 3)
    chart.on_frame()
    assert chart.canvas.view.left == left
    assert chart.live_button.isVisible()
    chart.commands.run('view.live')
    assert not chart.live_button.isVisible()


def test_drag_pans_and_double_click_goes_live(chart):
    canvas = chart.canvas
    left = canvas.view.left
    drag(canvas, (400, 200), (500, 200))
    assert canvas.view.left == pytest.approx(
        left - 100 / canvas.frame_scene.frame.spacing
    )
    assert not canvas.view.following
    send(canvas, QEvent.MouseButtonDblClick, 400, 200)
    assert canvas.view.following


def test_the_price_axis_can_be_dragged(chart):
    canvas = chart.canvas
    x = canvas.frame_scene.frame.width + 20
    before = canvas.frame_scene.frame
    drag(canvas, (x, 200), (x, 300))
    after = canvas.frame_scene.frame
    assert after.high - after.low > before.high - before.low
    send(canvas, QEvent.MouseButtonDblClick, x, 200)
    assert canvas.view.prices is None


def test_the_wheel_zooms(chart):
    canvas = chart.canvas
    span = canvas.view.span
    turn(canvas, 2, 300, 200)
    assert canvas.view.span < span
    assert canvas.view.following
    turn(canvas, -4, 300, 200)
    assert canvas.view.span > span


def test_crosshair_reads_the_bar_under_it(chart, app):
    plain = pixels(chart.picture())
    send(chart.canvas, QEvent.MouseMove, 333, 222, Qt.NoButton)
    app.processEvents()
    crossed = pixels(chart.picture())
    assert count(crossed, Palette.cross_tag) > 500
    assert count(plain, Palette.cross_tag) == 0


@pytest.mark.parametrize(
    ('state', 'words', 'ink'),
    [
        (FeedState.LIVE, 'Live', Palette.up),
        (FeedState.STALE, 'Stale 14 s', Palette.amber),
        (FeedState.RECONNECTING, 'Reconnecting 14 s', Palette.down),
        (FeedState.STARTING, 'Starting', Palette.accent),
        (FeedState.CLOSED, 'Closed', Palette.dim),
    ],
)
def test_the_state_of_the_feed_shows(chart, flume, state, words, ink):
    flume.ring.set_state(state)
    flume.age_s = 14.3
    chart.on_frame()
    assert chart.pill.text == words
    assert pill_of(state, 14) == (words, ink)


def test_why_the_feed_waits_shows(chart, flume):
    """In full for a pointer that rests, and as it is: no markup in it."""
    why = 'the venue <b>closed</b>'
    flume.ring.set_reason(why)
    flume.ring.set_state(FeedState.RECONNECTING)
    chart.on_frame()
    assert chart.pill.text == 'Reconnecting 0 s'
    assert chart.pill.accessibleDescription() == why
    assert chart.pill.toolTip() == '<p>the venue &lt;b&gt;closed&lt;/b&gt;</p>'
    assert chart.status.colored[-1] == (why, Palette.down)
    assert 'quotes' not in chart.status.text
    frames = chart.frames
    flume.ring.set_reason('it does not answer')
    chart.on_frame()
    assert chart.frames == frames + 1
    assert 'it does not answer' in chart.pill.toolTip()
    flume.ring.set_reason('')
    flume.ring.set_state(FeedState.LIVE)
    chart.on_frame()
    assert not chart.pill.toolTip()
    assert 'answer' not in chart.status.text
    assert 'quotes' in chart.status.text


def test_a_long_reason_pushes_nothing_out(chart, flume, app):
    chart.resize(900, 500)
    app.processEvents()
    flume.ring.set_state(FeedState.RECONNECTING)
    chart.on_frame()
    app.processEvents()
    header, before = chart.header.width(), pixels(chart.picture())
    clock = slice(-24, None), slice(-170, None)
    flume.ring.set_reason('the venue is away for its weekly cleaning; ' * 9)
    chart.on_frame()
    app.processEvents()
    after = pixels(chart.picture())
    assert chart.header.width() == header
    assert (before[:58] == after[:58]).all()
    assert count(after[-24:], Palette.down) > count(before[-24:], Palette.down)
    # nothing of it runs into what stands on the right
    assert count(after[clock], Palette.down) == 0


def test_backfill_shows_and_keeps_the_view(chart, flume, make_flume):
    flume.backfilling = True
    chart.on_frame()
    assert 'loading history' in chart.status.text
    assert '601 bars' in chart.status.text


@pytest.mark.parametrize(
    ('lost', 'words'),
    [(0, ''), (1, '1 trade missing'), (1234, '1,234 trades missing')],
)
def test_lost_trades_are_said(chart, flume, lost, words):
    flume.ring.count('missed', lost)
    chart.on_frame()
    told = dict(chart.status.colored)
    if lost:
        assert told[words] == Palette.amber
    assert ('missing' in chart.status.text) == bool(lost)


def test_a_late_trade_shows_in_a_closed_bar_at_once(chart, flume):
    canvas = chart.canvas
    flume.trade(flume.last)
    chart.on_frame()
    index = flume.bars[60].next - 30
    high = canvas.picture._columns.extremes()[1]
    flume.writers[60].update(
        index, high, high + 50, high, high, 1.0, high, 3
    )
    chart.on_frame()
    assert canvas.picture._columns.extremes()[1] == high + 50
    # Resampled ones as well.
    chart.show_period(300)
    flume.writers[60].update(
        index, high, high + 90, high, high, 1.0, high, 3
    )
    chart.on_frame()
    assert canvas.picture._columns.extremes()[1] == high + 90


def test_an_amendment_counted_before_it_is_written(chart, flume):
    """The writer counts first: the picture looks once more."""
    writer, canvas = flume.writers[60], chart.canvas
    index = writer.next - 30
    high = canvas.picture._columns.extremes()[1]
    write = writer._write

    def look_first(*args):
        chart.on_frame()
        write(*args)

    writer._write = look_first
    writer.update(index, high, high + 50, high, high, 1.0, high, 3)
    chart.on_frame()
    assert canvas.picture._columns.extremes()[1] == high + 50


def test_help_by_key(chart):
    QTest.keyClick(chart, Qt.Key_F1)
    assert chart.help.isVisible()
    QTest.keyClick(chart, Qt.Key_Escape)
    assert not chart.help.isVisible()
    QTest.keyClick(chart, Qt.Key_Question, Qt.ShiftModifier)
    assert chart.help.isVisible()


def test_a_market_that_stands_still(window, make_flume, app):
    window.show_flume(make_flume(flat=True))
    app.processEvents()
    frame = window.canvas.frame_scene.frame
    assert frame.high - frame.low >= 12 * 0.01
    assert frame.low < 61_685.99 < frame.high


def test_cheap_coins_show_all_digits(window, make_flume, app):
    window.show_flume(make_flume(
        symbol='shibusdt', price=0.00001234, tick='0.00000001',
        volatility=2e-3,
    ))
    app.processEvents()
    assert '0.00001234' in window.windowTitle()
    assert any('0.00001234' in text for text in window.header.texts)


def test_a_market_without_any_bar(window, make_flume, app):
    flume = make_flume(sizes=(0, 0))
    window.show_flume(flume)
    app.processEvents()
    assert window.canvas.frame_scene is not None


def test_a_replaced_buffer_is_picked_up(chart, flume, make_flume, app):
    other = make_flume(seed=9, price=50_000.0)
    flume.bars[60] = other.bars[60]
    chart.on_frame()
    app.processEvents()
    assert chart.canvas.watch.bars is other.bars[60]
    frame = chart.canvas.frame_scene.frame
    assert frame.low < 50_000 < frame.high


def test_data_that_cannot_be_read_is_said_so(chart, flume, monkeypatch):
    def quote():
        raise DataError('the latest quote is half written; its writer died')

    monkeypatch.setattr(flume, 'quote', quote)
    chart.on_frame()
    assert chart.notice.isVisible()
    assert 'half written' in chart.notice.text
    chart.on_frame()


def test_many_bars_are_merged(window, make_flume, app):
    flume = make_flume(sizes=(20_000, 10))
    window.show_flume(flume)
    window.commands.run('view.all')
    app.processEvents()
    picture = window.canvas.picture
    assert picture._columns.width > 10
    assert len(picture._columns) <= window.canvas.width()
    low, high, _ = picture._columns.extremes()
    assert low == flume.bars[60]['low'][:-1].min()
    assert high == flume.bars[60]['high'][:-1].max()


def test_resize_keeps_the_width_of_bars(chart, app):
    before = chart.canvas.frame_scene.frame
    chart.resize(900, 600)
    app.processEvents()
    after = chart.canvas.frame_scene.frame
    assert after.width < before.width
    assert after.spacing == pytest.approx(before.spacing, rel=0.01)
