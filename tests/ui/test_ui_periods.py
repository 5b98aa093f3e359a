"""Every period from a second to a week: chosen, labelled, live."""
import itertools
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PyQt5.QtCore import QPoint, Qt
from PyQt5.QtTest import QTest

from piker.data.resample import DAY_S, PERIODS_S, WEEK_S, bin_index, open_time
from piker.data.ticks import FeedState
from piker.ui.live import legend_of
from piker.ui.periods import (
    PERIODS,
    bar_index,
    bar_time,
    load_share,
    period_label,
    period_words,
)
from piker.ui.scales import format_left, time_ticks

NS = 10**9
KEYS = dict(zip(PERIODS, '1234567890', strict=True))


def stamp(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def weeks(window, make_flume, app):
    """Weekly bars of a bit more than four weeks."""
    flume = make_flume(sizes=(45_000, 600))
    window.show_flume(flume)
    window.show_period(WEEK_S)
    app.processEvents()
    return flume


def test_names():
    assert [period_label(p) for p in PERIODS] == [
        '1s', '5s', '15s', '1m', '5m', '15m', '1h', '4h', '1D', '1W',
    ]
    assert period_label(180) == '3m'
    assert period_label(90) == '90s'
    assert period_words(60) == '1 minute'
    assert period_words(14_400) == '4 hours'
    assert load_share(WEEK_S) == 10_080
    assert load_share(15) == 15


@given(
    time_s=st.integers(0, 4 * 10**9), period=st.sampled_from(PERIODS_S)
)
def test_bars_to_moments_and_back(time_s, period):
    index = int(bar_index(time_s, period) // 1)
    assert index == bin_index(np.array([time_s * NS]), period)[0]
    assert bar_time(index, period) == open_time(index, period) / NS
    assert bar_index(bar_time(index, period), period) == index
    if period == WEEK_S:
        when = datetime.fromtimestamp(bar_time(index, period), UTC)
        assert when.weekday() == when.hour == when.minute == 0


@pytest.mark.parametrize('period', PERIODS)
def test_keys_and_buttons(chart, flume, app, period):
    other = 60 if period != 60 else 300
    QTest.keyClick(chart, KEYS[other])
    QTest.keyClick(chart, KEYS[period])
    assert chart.canvas.watch.period_s == period
    assert chart.periods.buttons[period].isChecked()
    assert not chart.periods.buttons[other].isChecked()
    assert f'of {period_words(period)}' in chart.status.text
    chart.periods.buttons[other].click()
    assert chart.canvas.watch.period_s == other
    app.processEvents()


def test_help_lists_the_periods(chart):
    text = '\n'.join(chart.help.lines)
    for period, key in KEYS.items():
        name = f'period.{period_label(period).lower()}'
        assert f'{name} Bars of {period_words(period)} {key}' in text


def test_a_narrow_window_has_a_menu(chart, app):
    assert chart.periods.menu_button.isHidden() == (not chart.periods.narrow)
    chart.resize(800, 600)
    app.processEvents()
    assert chart.periods.menu_button.isVisible()
    assert not any(b.isVisible() for b in chart.periods.buttons.values())
    chart.periods.menu.actions()[4].trigger()
    assert chart.canvas.watch.period_s == 300
    assert chart.periods.menu_button.text().startswith('5m')
    chart.resize(1300, 600)
    app.processEvents()
    assert chart.periods.buttons[300].isVisible()
    assert chart.header.width() > 300


def test_a_period_without_a_button(app, make_flume):
    from piker.ui.window import ChartWindow

    window = ChartWindow(period_s=180)
    try:
        window._timer.stop()
        window.resize(1600, 900)
        window.show()
        window.show_flume(make_flume())
        assert window.canvas.watch.period_s == 180
        assert window.periods.other.isVisible()
        assert window.periods.other.text() == '3m'
        assert window.periods.other.isChecked()
        window.show_period(60)
        assert not window.periods.other.isVisible()
    finally:
        window.close()
        window.deleteLater()


def test_what_is_not_to_be_had_changes_nothing(chart):
    chart.show_period(7)
    assert chart.canvas.watch.period_s == chart.period_s == 60
    assert chart.periods.buttons[60].isChecked()


@pytest.mark.parametrize('period', [5, 300, 3600, DAY_S])
def test_the_newest_resampled_bar_is_live(window, make_flume, period):
    chart, flume = window, make_flume(sizes=(4000, 600))
    chart.show_flume(flume)
    chart.show_period(period)
    picture = chart.canvas.picture
    flume.trade(flume.last)
    chart.on_frame()
    drawn = picture.drawn
    for n in range(10):
        flume.trade(flume.last + flume.tick * (n % 3 - 1), size=1e-9)
        chart.on_frame()
        assert chart.canvas.frame_scene.live.close[-1] == flume.last
    assert picture.drawn == drawn


def test_a_resampled_bar_ends_with_its_period(window, make_flume):
    flume = make_flume(now_s=stamp('2026-08-05T12:34:10'))
    window.show_flume(flume)
    window.show_period(300)
    stop = window.canvas.look.stop
    assert bar_time(stop, 300) == stamp('2026-08-05T12:35:00')
    flume.roll_to(stamp('2026-08-05T12:35:01'))
    window.on_frame()
    assert window.canvas.look.stop == stop + 1


def test_week_in_words(weeks, window, monkeypatch):
    look = window.canvas.look
    legend = legend_of(window.canvas.watch, look, look.stop - 1)
    assert legend.moment.startswith('Mon ')
    opens = datetime.fromtimestamp(bar_time(look.stop - 1, WEEK_S), UTC)
    assert f'{opens:%b %Y}' in legend.moment
    end = bar_time(look.stop, WEEK_S)
    monkeypatch.setattr(time, 'time', lambda: end - 2 * DAY_S - 3 * 3600 - 7)
    left = window.canvas.watch.look().left_s
    assert format_left(left) == '2d 03:00'
    row = weeks.bars[WEEK_S].row(look.stop - 1)
    assert row['time'] == bar_time(look.stop - 1, WEEK_S) * NS


def test_the_crosshair_of_a_week(weeks, window, app, monkeypatch):
    said = []
    monkeypatch.setattr(
        'piker.ui.live.format_moment',
        lambda time_s, period: said.append((time_s, period)) or '',
    )
    canvas = window.canvas
    index = canvas.look.stop - 2
    x = canvas.frame_scene.frame.x(index + 0.5)
    canvas.mouse.point(QPoint(round(x), 200))
    app.processEvents()
    window.picture()
    assert set(said) == {(int(bar_time(index, WEEK_S)), WEEK_S)}


@given(
    start=st.integers(0, 3 * 10**9), count=st.floats(12, 3000),
    width=st.integers(300, 3000),
    period=st.sampled_from([p for p in PERIODS_S if p >= 5]),
)
def test_labels_stand_where_bars_open(start, count, width, period):
    stop = start + count * period
    ticks = time_ticks(start, stop, width, period_s=period)
    for tick in ticks:
        at = bar_index(tick.time_s, period)
        assert at == int(at)
    times = [tick.time_s for tick in ticks]
    assert times == sorted(set(times))
    if period == WEEK_S:
        # A month may be some days shorter from Monday to Monday.
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert all(gap * width / (stop - start) > 80 for gap in gaps)


def test_weeks_by_month_and_year():
    def labels(start, stop, width):
        return [t.label for t in time_ticks(
            stamp(start), stamp(stop), width, period_s=WEEK_S
        )]

    assert labels('2026-01-26', '2026-03-10', 700) == [
        '26 Jan', 'Feb', '9 Feb', '16 Feb', '23 Feb', 'Mar', '9 Mar',
    ]
    assert labels('2025-10-20', '2026-03-10', 700) == [
        'Nov', 'Dec', '2026', 'Feb', 'Mar',
    ]
    assert labels('2020-02-01', '2026-03-10', 700) == [
        '2021', '2022', '2023', '2024', '2025', '2026',
    ]


def test_switching_keeps_the_moment_in_weeks_too(window, make_flume, app):
    window.show_flume(make_flume(sizes=(60_000, 10)))
    window.show_period(3600)
    window.canvas.pan_share(-1.5)
    view = window.canvas.view
    before = bar_time(view.right - view.span / 2, 3600)
    window.show_period(300)
    view = window.canvas.view
    assert bar_time(view.right - view.span / 2, 300) == pytest.approx(before)
    # More of the future than there is makes no sense: the newest bar then.
    window.show_period(WEEK_S)
    assert window.canvas.view.following
    frame = window.canvas.frame_scene.frame
    assert 0 < frame.x(window.canvas.look.stop) < frame.width
    assert window.canvas.zone(QPoint(10, 10)) == 'plot'
    QTest.keyClick(window, Qt.Key_Minus)
    assert window.canvas.view.following


def test_buttons_stay_where_they_are(chart, flume, app):
    chart.resize(1600, 900)
    app.processEvents()
    places = [b.pos() + chart.periods.pos() for b in (
        chart.periods.buttons.values()
    )]
    flume.ring.set_state(FeedState.RECONNECTING)
    flume.age_s = 140.0
    chart.on_frame()
    app.processEvents()
    assert chart.pill.text == 'Reconnecting 2 min'
    assert places == [b.pos() + chart.periods.pos() for b in (
        chart.periods.buttons.values()
    )]
