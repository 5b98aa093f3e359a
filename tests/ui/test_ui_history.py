"""Older bars are asked for as they are missed, and nothing jumps."""
import pytest
import trio
from fake_feed import FakeFeed
from PyQt5.QtCore import QEvent
from test_ui_window import count, drag, pixels, send

from piker.data.resample import DAY_S, WEEK_S
from piker.data.ticks import FeedState
from piker.errors import VenueDown
from piker.ui.history import bars_to_ask
from piker.ui.notes import Older, OlderNote
from piker.ui.session import Session
from piker.ui.theme import Palette


async def settle():
    await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
def serve(window, nursery):
    """Puts a flume on screen, with the session that loads for it."""

    async def start(flume, others=()):
        flumes = {f.instrument.id: f for f in (flume, *others)}
        session = Session(window, FakeFeed(flumes).open)
        nursery.start_soon(session.run, flume.instrument.id)
        await session.live.wait()
        window.on_frame()
        await settle()
        return session

    return start


async def frames(window, most=50):
    """Frames until nothing is asked for any more."""
    flume = window.canvas.watch.flume
    for _ in range(most):
        asked = len(flume.asked)
        window.on_frame()
        await settle()
        if len(flume.asked) == asked:
            return
    raise AssertionError('it never has enough')


def test_how_much_at_once():
    assert bars_to_ask(300, 60) == 300
    assert bars_to_ask(10**6, 60) == 20_000
    assert bars_to_ask(300, DAY_S) == 13
    assert bars_to_ask(300, WEEK_S) == 1


async def test_enough_is_enough(window, make_flume, serve):
    flume = make_flume(older=5000)
    await serve(flume)
    await frames(window)
    assert flume.asked == []


async def test_near_the_oldest_bar_more_come(window, make_flume, serve):
    flume = make_flume(older=5000)
    await serve(flume)
    flume.gate = trio.Event()
    window.commands.run('view.first')
    view = window.canvas.view
    before = view.left, view.right
    bar = flume.bars[60].first + 20
    x = window.canvas.frame_scene.frame.x(bar)
    for _ in range(5):
        window.on_frame()
        await settle()
    assert len(flume.asked) == 1
    assert window.canvas.older.state is Older.LOADING
    shot = pixels(window.picture())[90:130]
    assert count(shot, Palette.accent) > 10
    flume.gate.set()
    await settle()
    assert window.canvas.older.state is Older.IDLE
    await frames(window)
    assert (view.left, view.right) == before
    frame = window.canvas.frame_scene.frame
    assert frame.x(bar) == x
    assert flume.bars[60].first <= view.left - view.span + 1
    assert count(pixels(window.picture())[90:130], Palette.accent) == 0


@pytest.mark.parametrize('period', [300, 3600])
async def test_a_long_period_fills_the_screen(
    window, make_flume, serve, period
):
    flume = make_flume(older=60_000)
    await serve(flume)
    window.show_period(period)
    view = window.canvas.view
    newest = window.canvas.look.stop - 1
    x = window.canvas.frame_scene.frame.x(newest)
    close = flume.bars[period].row(newest)['close']
    await frames(window)
    assert view.following
    assert window.canvas.look.first <= view.left
    assert window.canvas.frame_scene.frame.x(newest) == x
    assert flume.bars[period].row(newest)['close'] == close
    assert {p for p, _ in flume.asked} == {period}
    columns = window.canvas.picture._columns
    assert columns.index[0] <= view.left + 1


async def test_weeks_where_there_was_none(window, make_flume, serve):
    flume = make_flume(older=60_000)
    await serve(flume)
    window.show_period(WEEK_S)
    assert len(flume.bars[WEEK_S]) <= 1
    await frames(window)
    assert len(flume.bars[WEEK_S]) >= 5
    assert window.canvas.older.state is Older.ENDED
    window.picture()


async def test_the_start_of_history_is_said_once_and_for_all(
    window, make_flume, serve
):
    flume = make_flume(older=30)
    await serve(flume)
    window.commands.run('view.first')
    await frames(window)
    assert flume.older[60] == 0
    assert window.canvas.older == OlderNote(Older.ENDED)
    assert window.canvas.older.lines == ['start of history']
    asked = len(flume.asked)
    window.commands.run('view.first')
    await frames(window)
    assert len(flume.asked) == asked
    window.picture()
    # It is remembered by period.
    window.show_period(1)
    assert window.canvas.older.state is Older.IDLE
    window.show_period(60)
    assert window.canvas.older.state is Older.ENDED


async def test_new_bars_meanwhile_are_no_older_ones(
    window, make_flume, serve
):
    flume = make_flume()
    await serve(flume)
    flume.gate = trio.Event()
    window.commands.run('view.first')
    await settle()
    flume.roll(60, 3)
    flume.gate.set()
    await settle()
    await frames(window)
    assert window.canvas.older.state is Older.ENDED
    assert len(flume.asked) == 1


async def test_other_memory_with_less_history_is_asked_again(
    window, make_flume, serve
):
    flume, other = make_flume(), make_flume(sizes=(200, 10), older=90)
    await serve(flume)
    window.commands.run('view.first')
    await frames(window)
    assert len(flume.asked) == 1
    flume.bars[60] = other.bars[60]
    flume.writers, flume.older = other.writers, other.older
    window.commands.run('view.first')
    await frames(window)
    assert len(flume.asked) > 1
    assert window.canvas.older.state is Older.ENDED


async def test_what_fails_is_said_and_tried_again(
    window, make_flume, serve, autojump_clock
):
    flume = make_flume(older=5000)
    await serve(flume)
    flume.error = VenueDown('the venue cannot be reached')
    window.commands.run('view.first')
    start = trio.current_time()
    pauses = []
    for n in range(1, 8):
        while len(flume.asked) < n or flume.loading:
            window.on_frame()
            await trio.sleep(0.25)
        pauses.append(window.canvas.older.again_s)
        assert window.canvas.older.state is Older.FAILED
        assert 'cannot be reached' in window.canvas.older.lines[1]
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    assert trio.current_time() - start >= sum(pauses[:-1])
    # What is on screen stays as it is, and live.
    assert not window.notice.isVisible()
    shot = pixels(window.picture())[90:150]
    assert count(shot, Palette.amber) > 10
    flume.error = None
    await trio.sleep(61)
    await frames(window)
    assert window.canvas.older.state is Older.IDLE
    assert flume.bars[60].first < window.canvas.view.left


async def test_nothing_from_a_venue_that_is_away_is_no_end(
    window, make_flume, serve
):
    flume = make_flume()
    await serve(flume)
    flume.ring.set_state(FeedState.RECONNECTING)
    window.commands.run('view.first')
    await frames(window)
    assert window.canvas.older.state is Older.FAILED


async def test_another_symbol_cancels_it(window, make_flume, serve):
    flume = make_flume(older=5000)
    other = make_flume(symbol='ethusdt', price=2650.0)
    session = await serve(flume, [other])
    flume.gate = trio.Event()
    window.commands.run('view.first')
    window.on_frame()
    await settle()
    assert flume.loading == 1
    session.load('ethusdt.sim')
    await settle()
    assert flume.loading == 0
    assert window.canvas.watch.flume is other
    assert window.canvas.older.state is Older.IDLE
    window.commands.run('view.first')
    window.on_frame()
    await settle()
    assert len(other.asked) == 1


async def test_periods_load_beside_each_other(window, make_flume, serve):
    flume = make_flume(older=5000)
    await serve(flume)
    flume.gate = trio.Event()
    for period in (3600, DAY_S, 3600, DAY_S):
        window.show_period(period)
        await settle()
    assert [p for p, _ in flume.asked] == [3600, DAY_S]
    flume.gate.set()
    await settle()


async def test_dragging_and_zooming_to_the_edge(window, make_flume, serve):
    flume = make_flume(older=50_000)
    await serve(flume)
    canvas = window.canvas
    first = flume.bars[60].first
    send(canvas, QEvent.MouseMove, 100, 300)
    while canvas.view.left > first - 50:
        drag(canvas, (100, 300), (900, 300))
        await settle()
    await frames(window)
    assert flume.bars[60].first < first - 50
    first = flume.bars[60].first
    for _ in range(12):
        window.commands.run('view.zoom-out')
        await settle()
    await frames(window)
    assert flume.bars[60].first < first


async def test_gone_charts_ask_for_nothing(window, make_flume, serve):
    flume = make_flume(older=500)
    session = await serve(flume)
    session.load('nope.sim')
    await settle()
    window.older_wanted.emit(60, 100)
    await settle()
    assert flume.asked == []


async def test_the_note_stays_from_one_page_to_the_next(
    window, make_flume, serve, monkeypatch
):
    flume = make_flume(older=60_000)
    await serve(flume)
    said = []
    show = window.show_older

    def note(period, what):
        said.append(what.state)
        show(period, what)

    monkeypatch.setattr(window, 'show_older', note)
    window.show_period(DAY_S)
    await frames(window)
    assert len(flume.asked) > 3
    assert said == [Older.LOADING, Older.ENDED]


async def test_grouped_errors_are_told_like_single_ones(
    window, make_flume, serve
):
    flume = make_flume(older=5000)
    await serve(flume)
    flume.error = BaseExceptionGroup('portal', [VenueDown('away')])
    window.commands.run('view.first')
    window.on_frame()
    await settle()
    assert window.canvas.older.state is Older.FAILED
    assert window.canvas.older.text == 'away'


async def test_leaving_a_period_ends_its_loading_with_the_page(
    window, make_flume, serve
):
    flume = make_flume(older=60_000)
    await serve(flume)
    flume.gate = trio.Event()
    window.show_period(DAY_S)
    await settle()
    window.show_period(60)
    flume.gate.set()
    await settle()
    await frames(window)
    assert [p for p, _ in flume.asked] == [DAY_S]
    window.show_period(DAY_S)
    await frames(window)
    assert len(flume.asked) > 1
