"""Feeds and the bus that runs them, against a venue that a test scripts."""
from __future__ import annotations

import math

import pytest
import trio
from fake_venue import (
    NAME,
    T0,
    FakeVenue,
    after,
    columns,
    down,
    left,
    quote,
    trade,
)
from trio.testing import wait_all_tasks_blocked

from piker.clock import NS_PER_S
from piker.data.bars import Bars
from piker.data.flume import Flume
from piker.data.ticks import FeedState, Kind, TickReader
from piker.errors import NoSuchSymbol, VenueDown, VenueError, VenueRefused


@pytest.fixture
def venue():
    """With ten trades, one in each second of the minute before T0 + 60 s."""
    venue = FakeVenue()
    for k in range(10):
        venue.tape.append(trade(k, T0 - 30 * NS_PER_S + k * 4 * NS_PER_S))
    return venue


def ids(feed):
    run = feed.ring.reader(from_start=True).read()
    return run.id[run.kind == Kind.TRADE].tolist() if run else []


async def settle():
    await trio.sleep(3)
    await wait_all_tasks_blocked()


def counted(feed):
    return {k: v for k, v in feed.ring.reader().counters.items() if v}


async def test_history_and_live_meet_at_the_seam(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        # the seam is the last whole minute but one: T0
        assert ids(feed) == [8, 9]
        venue.trade(10, after(0), 103.0, 2.0)
        assert ids(feed) == [8, 9, 10]
        bars = {p: Bars.attach(n) for p, n in feed.info().bars.items()}
        for period_s, buffer in bars.items():
            rows = buffer.read()
            assert rows['trades'].sum() == 11
            assert rows['volume'].sum() == 12
            want = {t[0] // (period_s * NS_PER_S) for t in venue.tape}
            assert set(
                (rows['time'][rows['trades'] > 0] // buffer.period_ns)
                .tolist()
            ) == want
        quoted = feed.ring.reader().quote()
        assert (quoted.last, quoted.bid, quoted.ask) == (103, 99, 101)
        assert quoted.volume == 12
        assert feed.ring.reader().state is FeedState.LIVE


async def test_a_gap_is_filled_in_order(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.page = 2
        for k in range(10, 16):
            venue.trade(k, after(k), send=k in (10, 15))
        venue.send(quote(1, 99.5, 100.5))
        await settle()
        assert ids(feed) == list(range(8, 16))
        counts = counted(feed)
        assert counts['gaps'] == 1
        assert counts['trades'] == 8
        assert 'missed' not in counts
        # what was held back is not lost
        assert feed.ring.reader().quote().bid == 99.5


async def test_a_gap_in_the_middle_of_columns_is_filled_in_order(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        rows = [
            venue.trade(k, after(k), send=False) for k in range(10, 20)
        ]
        feed.columns(columns([*rows[:3], *quote(1, 99.5, 100.5)]))
        assert ids(feed) == list(range(8, 13))
        feed.columns(columns([*rows[3:5], *rows[6:8]]))
        # held back, as all that follows
        feed.columns(columns(rows[8:]))
        feed.columns(columns(quote(2, 98.5, 101.5)))
        assert ids(feed) == list(range(8, 15))
        assert feed.ring.reader().quote().bid == 99.5
        await settle()
        assert ids(feed) == list(range(8, 20))
        counts = counted(feed)
        assert (counts['gaps'], counts['trades']) == (1, 12)
        assert feed.ring.reader().quote().bid == 98.5


async def test_duplicates_are_dropped_and_counted(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        row = venue.trade(10, after(10))
        venue.send([row, row])
        assert ids(feed) == [8, 9, 10]
        assert counted(feed)['duplicates'] == 2
        rows = feed._builders[60].writer.read()
        assert rows['trades'].sum() == 11


async def test_a_hole_the_venue_cannot_fill_is_counted(
    autojump_clock, bus_of, venue
):
    venue.hidden = {11, 12}
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        for k in range(10, 15):
            venue.trade(k, after(k), send=k not in venue.hidden)
        await trio.sleep(60)
        assert ids(feed) == [8, 9, 10, 13, 14]
        assert counted(feed)['missed'] == 2
        venue.trade(15, after(15))
        assert ids(feed)[-1] == 15
        feed.link_alive()
        assert feed.ring.reader().state is FeedState.LIVE


FAR = 10 ** 9


@pytest.mark.parametrize('away', [FAR, -FAR])
async def test_one_absurd_id_is_refused(autojump_clock, bus_of, venue, away):
    base = 2 * FAR
    venue.tape = [(*row[:6], base + row[6], row[7]) for row in venue.tape]
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.trade(base + 10, after(10))
        venue.send([trade(base + 10 + away, after(11))])
        asked = len(venue.asked)
        for k in range(11, 40):
            venue.trade(base + k, after(k))
            await trio.sleep(0.01)
        await settle()
        assert ids(feed) == list(range(base + 8, base + 40))
        assert counted(feed)['refused'] == 1
        assert not {'missed', 'gaps', 'resets'} & counted(feed).keys()
        assert len(venue.asked) == asked
        assert feed._builders[60].writer.read()['trades'].sum() == 40


@pytest.mark.parametrize('first', [True, False])
async def test_an_absurd_id_among_what_is_held_back(
    autojump_clock, bus_of, venue, first
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.trade(10, after(10), send=False)
        if first:
            venue.down()
            venue.up()
        venue.send([trade(11 + FAR, after(11))])
        for k in range(11, 20):
            venue.trade(k, after(k))
            await trio.sleep(0.01)
        await settle()
        venue.trade(20, after(20))
        assert ids(feed) == list(range(8, 21))
        assert counted(feed)['refused'] == 1
        assert not {'missed', 'resets'} & counted(feed).keys()
        assert len(venue.asked) < 15


@pytest.mark.parametrize('start', [5 + FAR, 3])
async def test_ids_that_begin_anew(autojump_clock, bus_of, venue, start):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        for k in range(5):
            venue.trade(start + k, after(k + 1))
            # the first one may be a fault; the second says that it is none
            assert feed.ring.reader().written == 2 + (k + 1 if k else 0)
        assert ids(feed) == [8, 9, *range(start, start + 5)]
        counts = counted(feed)
        assert counts['resets'] == 1
        assert not {'missed', 'gaps', 'refused'} & counts.keys()
        assert feed._builders[60].writer.read()['trades'].sum() == 15


async def test_a_page_with_an_absurd_id_is_not_asked_for_for_ever(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.down()
        venue.tape.append(trade(FAR, after(11)))
        asked = len(venue.asked)
        venue.up()
        await settle()
        assert len(venue.asked) - asked < 5
        venue.send([trade(10, after(12))])
        assert ids(feed) == [8, 9, 10]
        assert feed.ring.reader().state is FeedState.LIVE


async def test_a_long_hole_is_repaired_to_its_end(
    autojump_clock, bus_of, venue
):
    """And by a venue that cannot answer when the hole is found."""
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.down()
        start = venue.wall.now_ns()
        lost = 2500
        for k in range(lost):
            venue.trade(10 + k, start + k * NS_PER_S, send=False)
        venue.hidden = set(range(10, 10 + lost))
        venue.wall.advance_ns(lost * NS_PER_S)
        venue.up()
        venue.trade(10 + lost, venue.wall.now_ns())
        while not counted(feed).get('missed'):
            await trio.sleep(0.1)
        venue.fail = down()
        await trio.sleep(4)
        venue.fail = None
        await trio.sleep(60)
        assert counted(feed)['missed'] == lost
        for period_s in (1, 60):
            bars = feed._builders[period_s].writer.read()
            assert bars['trades'].sum() == 11 + lost


async def test_a_hole_at_an_absurd_time_stops_no_repair(
    autojump_clock, bus_of, venue
):
    venue.hidden = {11, 14}
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        for k in range(10, 17):
            t_ns = after(k)
            venue.tape.append(trade(k, t_ns))
            if k not in venue.hidden:
                venue.send([trade(k, 1 << 62 if k == 12 else t_ns)])
            await trio.sleep(2)
        await trio.sleep(60)
        assert counted(feed)['missed'] == 2
        bars = feed._builders[60].writer.read()
        # refused was that of the absurd time, and the venue's bars have it
        assert bars['trades'].sum() == 17


@pytest.mark.parametrize('what', ['bars', 'top'])
async def test_one_failure_does_not_fail_the_start(
    autojump_clock, bus_of, venue, what
):
    failures = [down()]

    def answer(asked):
        venue.asked.append(asked)
        if asked == what and failures:
            raise failures.pop()

    venue._answer = answer
    async with bus_of(venue) as bus:
        assert ids(await bus.feed(NAME)) == [8, 9]
        failures += [down() for _ in range(4)]
        assert bus.drop(NAME)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        with pytest.raises(VenueDown, match='the fake is out'):
            await bus.feed(NAME)
        assert trio.current_time() - began < 2


async def test_who_waits_is_told_when_a_venue_wants_to_be_left_alone(
    autojump_clock, bus_of, venue
):
    venue.fail = down()
    venue.fail.pause_s = 600.0
    async with bus_of(venue) as bus:
        with pytest.raises(VenueDown, match='the fake is out'):
            await bus.feed(NAME)
        # and it is: each period and the top were asked for at most once
        assert len(venue.asked) <= 3


@pytest.mark.expects_errors('the venue refuses: no')
async def test_a_refused_stream_fails_the_start_at_once(
    autojump_clock, bus_of, venue
):
    venue.linked = False
    async with bus_of(venue) as bus:
        async def refuse():
            await trio.sleep(1)
            venue.subscriptions[0].link_refused('the venue refuses: no (2)')

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse)
            with pytest.raises(VenueRefused, match=r'btcusdt.*refuses: no'):
                await bus.feed(NAME)
        assert trio.current_time() < 5
        assert not bus.status()
        venue.linked = True
        assert ids(await bus.feed(NAME)) == [8, 9]


@pytest.mark.expects_errors('it is delisted')
async def test_a_stream_refused_later_says_why_and_may_come_back(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        flume = Flume(feed.info(), None)
        assert (flume._reader.state, flume.reason) == (FeedState.LIVE, '')
        venue.down()
        assert flume.reason == 'cut by the test'
        assert bus.status()[0].reason == 'cut by the test'
        feed.link_refused('it is delisted')
        await trio.sleep(60)
        feed.link_alive()
        assert flume.reason == 'it is delisted'
        assert flume._reader.state is FeedState.RECONNECTING
        venue.trade(10, after(10), send=False)
        venue.up()
        await settle()
        assert (flume._reader.state, flume.reason) == (FeedState.LIVE, '')
        assert ids(feed) == [8, 9, 10]


async def test_the_days_volume_ends_with_the_day(
    autojump_clock, bus_of
):
    day_ns = 86_400 * NS_PER_S
    midnight = T0 // day_ns * day_ns
    venue = FakeVenue(midnight - 60 * NS_PER_S)
    venue.tape = [trade(0, midnight - 300 * NS_PER_S, size=5.0)]
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        flume = Flume(feed.info(), None)
        assert flume.quote().volume == 5
        await trio.sleep(50)
        venue.trade(1, midnight - 15 * NS_PER_S, size=1.0)
        assert flume.quote().volume == 6
        # the clock closes the day's last bar
        await trio.sleep(12)
        assert flume.quote().volume == 0
        # and a trade of that day comes late: it is no new day's
        venue.trade(2, midnight - NS_PER_S // 2, size=7.0)
        quoted = flume.quote()
        assert (quoted.volume, quoted.last_size) == (0, 7)
        assert flume._reader.quote().volume == 13
        venue.trade(3, midnight + NS_PER_S, size=2.0)
        assert flume.quote().volume == 2
        # so may one that the tape has after a trade of the new one
        venue.trade(4, midnight + NS_PER_S // 2, size=0.5)
        venue.trade(5, midnight + NS_PER_S // 4 - NS_PER_S // 2, size=9.0)
        assert flume.quote().volume == 2.5


async def test_a_reconnect_fills_what_passed_meanwhile(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.down()
        assert feed.ring.reader().state is FeedState.RECONNECTING
        for k in range(10, 13):
            venue.trade(k, after(k), send=False)
        await settle()
        assert ids(feed) == [8, 9]
        assert feed.ring.reader().state is FeedState.RECONNECTING
        venue.up()
        # no further trade is needed for it
        await settle()
        assert ids(feed) == list(range(8, 13))
        assert feed.ring.reader().state is FeedState.LIVE
        assert counted(feed)['reconnects'] == 1


async def test_a_heal_during_an_outage_does_not_make_it_live(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.trade(10, after(10), send=False)
        venue.trade(11, after(11))
        venue.down()
        await settle()
        assert ids(feed)[-1] == 11
        assert feed.ring.reader().state is FeedState.RECONNECTING


@pytest.mark.parametrize('bad', [
    {'price': math.nan}, {'price': math.inf}, {'price': -1.0},
    {'price': 0.0}, {'price': 100.005}, {'size': math.nan}, {'size': -1.0},
    {'size': 0.0}, {'t_ns': after(11) - 2 * NS_PER_S}, {'t_ns': 0},
    {'t_ns': after(0) + 2 * 3600 * NS_PER_S}, {'count': 0}, {'count': -3},
    {'count': 1 << 32},
])
async def test_an_unusable_trade_stops_nothing(
    autojump_clock, bus_of, venue, bad
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.trade(10, after(11))
        before = feed._builders[60].writer.next
        venue.send([trade(11, **{'t_ns': after(11), **bad})])
        venue.send([trade(12, after(12), 102.0)])
        assert ids(feed) == [8, 9, 10, 12]
        assert counted(feed)['refused'] == 1
        assert feed.ring.reader().quote().last == 102
        assert feed._builders[60].writer.next == before
        assert feed._builders[60].writer.read()['trades'].sum() == 12


@pytest.mark.parametrize('ahead_s', [8, 3000])
async def test_a_trade_ahead_of_its_time_spoils_none_after_it(
    autojump_clock, bus_of, venue, ahead_s
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.trade(10, after(0))
        venue.send([trade(11, after(0) + ahead_s * NS_PER_S)])
        for k in range(12, 20):
            venue.trade(k, after(k))
            await trio.sleep(0.1)
        assert ids(feed)[-8:] == list(range(12, 20))
        far = ahead_s > 10
        assert counted(feed).get('refused', 0) == far
        newest = feed._builders[1].writer.next
        assert newest <= venue.wall.now_ns() // NS_PER_S + 10
        bars = feed._builders[60].writer.read()
        assert bars['trades'].sum() == 20 - far


@pytest.mark.parametrize('id_', [-1, 1 << 63, 1 << 70])
async def test_an_id_that_is_none(
    autojump_clock, bus_of, venue, id_
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.send([trade(id_, after(1)), *quote(id_, 1.0, 2.0)])
        venue.trade(10, after(1))
        assert ids(feed) == [8, 9, 10]
        assert counted(feed)['refused'] == 3
        assert feed.ring.reader().quote().bid == 99


@pytest.mark.parametrize('price', [math.nan, math.inf, -1.0])
async def test_an_unusable_quote_is_refused(
    autojump_clock, bus_of, venue, price
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.send(quote(5, price, 100.5)[:1])
        venue.send(quote(6, 99.5, 100.5)[:1])
        quoted = feed.ring.reader().quote()
        assert counted(feed)['refused'] == 1
        # a bid alone leaves the ask that is known
        assert (quoted.bid, quoted.ask, quoted.ask_size) == (99.5, 101, 2)
        venue.send(quote(4, 90.0, 110.0))
        assert feed.ring.reader().quote().bid == 99.5
        assert counted(feed)['late'] == 2


async def test_a_late_trade_from_before_the_seam_is_not_counted_twice(
    autojump_clock, bus_of, venue
):
    venue.tape = venue.tape[:8]
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        venue.tape.append(trade(8, T0 - NS_PER_S // 2))
        before = feed._builders[60].writer.read()
        volume = feed.ring.reader().quote().volume
        venue.send([trade(8, T0 - NS_PER_S // 2)])
        after_it = feed._builders[60].writer.read()
        assert before.tolist() == after_it.tolist()
        assert feed.ring.reader().quote().volume == volume
        assert ids(feed) == [8]


@pytest.mark.parametrize(('book', 'last'), [
    ((99.0, 1.0, 101.0, 1.0), 100.0), ((99.0, 1.0, 0.0, 0.0), 99.0),
    ((0.0, 0.0, 101.0, 1.0), 101.0),
])
async def test_what_never_traded_has_a_last_price(
    autojump_clock, bus_of, venue, book, last
):
    venue.tape, venue.book = [], book
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        assert feed.ring.reader().quote().last == last
        venue.trade(0, after(0), 50.0)
        assert feed.ring.reader().quote().last == 50


async def test_nothing_traded_and_nothing_quoted(
    autojump_clock, bus_of, venue
):
    venue.tape, venue.book = [], (0.0, 0.0, 0.0, 0.0)
    async with bus_of(venue) as bus:
        with pytest.raises(VenueError, match='knows no price'):
            await bus.feed(NAME)


async def test_requests_at_once_make_one_feed(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        found = []

        async def ask():
            found.append(await bus.feed(NAME.upper()))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(ask)
        assert len(found) == 10
        assert len(set(map(id, found))) == 1
        assert venue.subscribed == 1
        assert len(bus.status()) == 1
        assert bus.status()[0].symbol == NAME


async def test_a_failure_is_told_to_each_and_then_forgotten(
    autojump_clock, bus_of, venue
):
    venue.fail = down()
    async with bus_of(venue) as bus:
        said = []

        async def ask():
            with pytest.raises(VenueDown) as caught:
                await bus.feed(NAME)
            said.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert said == ['the fake is out'] * 5
        assert not bus.status()
        venue.fail = None
        assert ids(await bus.feed(NAME)) == [8, 9]


async def test_an_unknown_symbol(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        with pytest.raises(NoSuchSymbol, match="'btcusdt'"):
            await bus.feed('btcusd.fake')


async def test_a_stream_that_never_comes_up(
    autojump_clock, bus_of, venue
):
    venue.linked = False
    async with bus_of(venue, linger_s=10.0) as bus:
        with pytest.raises(VenueDown, match='no data within 20 s'):
            await bus.feed(NAME)
        assert len(bus.status()) == 1
        venue.wall.advance_ns(31 * NS_PER_S)
        await trio.sleep(2)
        assert not bus.status()


async def test_an_unused_feed_is_dropped_after_its_time(
    autojump_clock, bus_of, venue, prefix
):
    async with bus_of(venue, linger_s=10.0) as bus:
        async with bus.opened([NAME], 'a client', 1):
            assert bus.status()[0].subscribers == 1
            venue.wall.advance_ns(60 * NS_PER_S)
            await trio.sleep(2)
            assert bus.status()
        venue.wall.advance_ns(5 * NS_PER_S)
        await trio.sleep(2)
        assert bus.status()[0].subscribers == 0
        venue.wall.advance_ns(6 * NS_PER_S)
        await trio.sleep(2)
        assert not bus.status()
        assert left(prefix) == [bus.hub.flags_segment]


async def test_dropping_a_feed_destroys_its_memory(
    autojump_clock, bus_of, venue, prefix
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        reader = TickReader.attach(feed.info().ticks)
        assert len(left(prefix)) == 4
        assert bus.drop(NAME)
        await wait_all_tasks_blocked()
        assert reader.state is FeedState.CLOSED
        assert left(prefix) == [bus.hub.flags_segment]
        assert not bus.drop(NAME)
        assert ids(await bus.feed(NAME)) == [8, 9]


async def test_silence_makes_it_stale_and_a_sign_of_life_live(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        reader = feed.ring.reader()
        for _ in range(4):
            venue.wall.advance_ns(3 * NS_PER_S)
            now = venue.wall.now_ns()
            venue.send(quote(now, 99.0, 101.0, now))
            await trio.sleep(1)
            assert reader.state is FeedState.LIVE
        assert 0 <= venue.wall.now_ns() - reader.beat_ns < NS_PER_S
        venue.wall.advance_ns(6 * NS_PER_S)
        await trio.sleep(1)
        assert reader.state is FeedState.STALE
        feed.link_alive()
        assert reader.state is FeedState.LIVE


async def test_what_waits_for_missing_trades_is_stale(
    autojump_clock, bus_of, venue
):
    """It shows nothing new, however much is heard."""
    async with bus_of(venue) as bus:
        feed = await bus.feed(NAME)
        reader = feed.ring.reader()
        for k in (10, 11, 12):
            venue.trade(k, after(k), send=k != 11)
        venue.fail = down()
        for state in [FeedState.LIVE] * 4 + [FeedState.STALE] * 3:
            await trio.sleep(1.2)
            feed.link_alive()
            assert reader.state is state, trio.current_time()
        assert 'trades are missing' in reader.reason
        venue.fail = None
        for _ in range(6):
            await trio.sleep(1)
            feed.link_alive()
        assert (reader.state, reader.reason) == (FeedState.LIVE, '')
        assert ids(feed)[-3:] == [10, 11, 12]


async def test_a_connection_that_is_back_is_not_what_it_waits_for(
    autojump_clock, bus_of, venue
):
    async with bus_of(venue) as bus:
        await bus.feed(NAME)

        def told():
            status, = bus.status()
            return status.state, status.reason

        assert told() == ('live', '')
        venue.fail = down()
        venue.down()
        assert told() == ('reconnecting', 'cut by the test')
        venue.up()
        await trio.sleep(1)
        assert told() == (
            'reconnecting', 'trades are missing and are being fetched'
        )
        venue.fail = None
        await trio.sleep(2)
        assert told() == ('live', '')


async def test_older_bars_come_in_front(
    autojump_clock, bus_of, venue
):
    venue.tape = [
        trade(k, T0 - (3000 - k) * 60 * NS_PER_S, 100.0 + k % 7)
        for k in range(3000)
    ]
    async with bus_of(venue, history_60s=2500) as bus:
        feed = await bus.feed(NAME)
        await settle()
        bars = Bars.attach(feed.info().bars[60]).read()
        assert len(bars) >= 2500
        assert set(bars['time'][1:] - bars['time'][:-1]) == {60 * NS_PER_S}
        real = bars[bars['trades'] > 0]
        assert real['close'].tolist() == [
            row[4] for row in venue.tape[-len(real):]
        ]
        assert not feed.ring.reader().backfilling
