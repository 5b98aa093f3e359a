"""The live gateway against the embedded venue's real server."""
from __future__ import annotations

import json
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
import trio

from piker.brokers.binance import open_backend, open_gateway, trading
from piker.brokers.sim.venue import VenueConfig, open_venue
from piker.clock import SystemClock
from piker.config import AccountSettings
from piker.errors import ConfigError, VenueRefused
from piker.gateway import (
    AccountReport,
    Answer,
    CancelOrder,
    FillReport,
    LinkReport,
    OrderReport,
    Outcome,
    PlaceOco,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
    Snapshot,
    VenueStatus,
)
from piker.orders import OrderSide, OrderType, Tif

SYMBOL = 'ltcusdt.sim'
CENT = Decimal('0.01')
pytestmark = pytest.mark.expects_errors('user data stream')


class Desk:
    """A gateway, and all it has said."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.said = []
        self.refs = 0

    async def until(self, matches):
        """The first message that matches, of those that were not taken."""
        with trio.fail_after(20):
            while True:
                for message in self.said:
                    if matches(message):
                        self.said.remove(message)
                        return message
                self.said += await self.gateway.receive()

    async def answer(self, command):
        self.gateway.send(command)
        return await self.until(
            lambda m: isinstance(m, Answer) and m.ref == command.ref
        )

    async def report(self, cid, status):
        return await self.until(
            lambda m: isinstance(m, OrderReport) and m.cid == cid
            and m.status is status
        )

    def ref(self):
        self.refs += 1
        return self.refs

    def order(self, cid, **given):
        given = {
            'side': OrderSide.BUY, 'size': Decimal('1'), 'symbol': SYMBOL,
            'type': OrderType.LIMIT,
        } | given
        return PlaceOrder(ref=self.ref(), cid=cid, **given)


@asynccontextmanager
async def open_desk(**settings):
    config = VenueConfig(symbols=('LTCUSDT',))
    async with open_venue(config, SystemClock()) as venue:
        upstream = {'host': venue.host, 'port': venue.port}
        async with (
            open_backend('sim', {'trades': 'aggTrade'}, upstream) as backend,
            open_gateway(
                'sim', AccountSettings(
                    provider='sim', **settings
                ).model_dump(mode='json'), backend,
            ) as gateway,
        ):
            desk = Desk(gateway)
            await desk.until(lambda m: m == LinkReport(up=True))
            top = await backend.top((await backend.instruments())['ltcusdt'])
            desk.bid, desk.ask = Decimal(str(top[0])), Decimal(str(top[2]))
            desk.venue = venue
            yield desk


@pytest.fixture
async def desk():
    async with open_desk() as desk:
        yield desk


def far(desk):
    """A price well below the market that its filters still allow."""
    return (desk.bid * Decimal('0.9')).quantize(Decimal('0.01'))


async def spoil(desk, **faults):
    """Have the venue misbehave."""
    body = json.dumps(faults).encode()
    venue = desk.venue
    async with await trio.open_tcp_stream(venue.host, venue.port) as stream:
        await stream.send_all(
            b'POST /sim/v1/faults HTTP/1.1\r\nHost: x\r\n'
            b'Connection: close\r\nContent-Length: %d\r\n\r\n' % len(body)
            + body
        )
        assert b' 200 ' in await stream.receive_some()


async def test_a_market_order_is_told_with_its_fills(desk):
    order = desk.order('m1', type=OrderType.MARKET, size=Decimal('2'))
    answer = await desk.answer(order)
    assert answer.outcome is Outcome.DONE
    report = await desk.report('m1', VenueStatus.FILLED)
    assert report.filled == Decimal('2')
    fills = [m for m in desk.said if isinstance(m, FillReport)]
    ids = {fill.trade_id for fill in fills}
    assert sum(
        next(f.size for f in fills if f.trade_id == id_) for id_ in ids
    ) == Decimal('2')
    assert all(f.fee > 0 and f.fee_asset == 'ltc' for f in fills)


async def test_limit_open_cancelled_and_unknown(desk):
    order = desk.order('l1', price=far(desk))
    assert (await desk.answer(order)).outcome is Outcome.DONE
    placed = await desk.report('l1', VenueStatus.OPEN)
    assert (placed.price, placed.size, placed.tif) == (
        far(desk), Decimal(1), Tif.GTC
    )
    cancel = CancelOrder(ref=desk.ref(), cid='l1', symbol=SYMBOL)
    assert (await desk.answer(cancel)).outcome is Outcome.DONE
    await desk.report('l1', VenueStatus.CANCELLED)
    again = CancelOrder(ref=desk.ref(), cid='l1', symbol=SYMBOL)
    assert (await desk.answer(again)).outcome is Outcome.UNKNOWN
    query = QueryOrder(ref=desk.ref(), cid='never', symbol=SYMBOL)
    assert (await desk.answer(query)).outcome is Outcome.UNKNOWN


async def test_what_the_venue_refuses(desk):
    order = desk.order('x1', price=Decimal('0.005'))
    answer = await desk.answer(order)
    assert answer.outcome is Outcome.REFUSED
    assert 'PRICE_FILTER' in answer.reason
    crossing = desk.order('x2', price=(desk.ask * 2).quantize(CENT),
                          post_only=True)
    answer = await desk.answer(crossing)
    assert answer.outcome is Outcome.REFUSED


async def test_a_replacement_is_one_step_or_none(desk):
    await desk.answer(desk.order('r1', price=far(desk)))
    better = desk.order('r2', price=far(desk) + 1, size=Decimal('3'))
    answer = await desk.answer(ReplaceOrder(
        ref=better.ref, cid='r1', symbol=SYMBOL, order=better
    ))
    assert answer.outcome is Outcome.DONE
    await desk.report('r1', VenueStatus.CANCELLED)
    assert (await desk.report('r2', VenueStatus.OPEN)).size == Decimal('3')
    lost = desk.order('r3', price=far(desk))
    answer = await desk.answer(ReplaceOrder(
        ref=lost.ref, cid='r1', symbol=SYMBOL, order=lost
    ))
    assert answer.outcome is Outcome.REFUSED
    query = QueryOrder(ref=desk.ref(), cid='r3', symbol=SYMBOL)
    assert (await desk.answer(query)).outcome is Outcome.UNKNOWN


async def test_the_old_order_is_told_gone_where_the_new_is_not_taken(desk):
    await desk.answer(desk.order('p1', price=far(desk)))
    poor = desk.order('p2', price=far(desk), size=Decimal('80000'))
    answer = await desk.answer(ReplaceOrder(
        ref=poor.ref, cid='p1', symbol=SYMBOL, order=poor
    ))
    assert answer.outcome is Outcome.REFUSED
    assert 'insufficient balance' in answer.reason
    await desk.report('p1', VenueStatus.CANCELLED)


async def test_a_pair_of_which_one_fills(desk):
    start = desk.order('o0', type=OrderType.MARKET, size=Decimal('2'))
    await desk.answer(start)
    above = desk.order(
        'o1', side=OrderSide.SELL, price=(desk.ask * Decimal('1.1')).quantize(
            Decimal('0.01'))
    )
    below = desk.order(
        'o2', side=OrderSide.SELL, type=OrderType.STOP, stop=far(desk)
    )
    answer = await desk.answer(PlaceOco(
        ref=desk.ref(), cid='pair', above=above, below=below
    ))
    assert answer.outcome is Outcome.DONE
    await desk.report('o1', VenueStatus.OPEN)
    stop = await desk.report('o2', VenueStatus.OPEN)
    assert (stop.type, stop.stop, stop.price) == (
        OrderType.STOP, far(desk), None
    )
    await desk.answer(CancelOrder(ref=desk.ref(), cid='o1', symbol=SYMBOL))
    await desk.report('o1', VenueStatus.CANCELLED)
    await desk.report('o2', VenueStatus.CANCELLED)


@pytest.mark.parametrize('answer', ['timeout', 'error', 'unavailable'])
@pytest.mark.parametrize('executed', [True, False])
async def test_an_answer_that_tells_nothing_leaves_doubt(
    desk, answer, executed
):
    await spoil(desk, order_answer=answer, order_executed=executed)
    said = await desk.answer(desk.order('d1', price=far(desk)))
    assert said.outcome is Outcome.DOUBT
    query = QueryOrder(ref=desk.ref(), cid='d1', symbol=SYMBOL)
    found = await desk.answer(query)
    assert found.outcome is (Outcome.DONE if executed else Outcome.UNKNOWN)


async def test_an_order_turned_away_for_the_limits_was_not_sent(desk):
    await spoil(desk, order_answer='limit')
    said = await desk.answer(desk.order('t1', price=far(desk)))
    assert said.outcome is Outcome.UNSENT


async def test_a_snapshot_is_everything(desk):
    await desk.answer(desk.order('s1', type=OrderType.MARKET))
    await desk.answer(desk.order('s2', price=far(desk)))
    await desk.report('s2', VenueStatus.OPEN)
    desk.said.clear()
    snapshot = Snapshot(ref=desk.ref(), symbols=[SYMBOL])
    answer = await desk.answer(snapshot)
    assert answer.outcome is Outcome.DONE
    fills = [m for m in desk.said if isinstance(m, FillReport)]
    assert {f.cid for f in fills} == {'s1'}
    report, = [m for m in desk.said if isinstance(m, OrderReport)]
    assert report.cid == 's2'
    account = next(
        m for m in desk.said if isinstance(m, AccountReport) and m.whole
    )
    assert account.balances['usdt'].locked == far(desk)
    last = max(fills, key=lambda f: int(f.trade_id)).trade_id
    desk.said.clear()
    await desk.answer(Snapshot(
        ref=desk.ref(), symbols=[SYMBOL], since={SYMBOL: last}
    ))
    assert not [m for m in desk.said if isinstance(m, FillReport)]


async def test_a_broken_stream_says_so_and_comes_back(desk):
    await spoil(desk, drop_user_streams=True)
    await desk.until(lambda m: isinstance(m, LinkReport) and not m.up)
    await desk.until(lambda m: m == LinkReport(up=True))
    await desk.answer(desk.order('b1', price=far(desk)))
    await desk.report('b1', VenueStatus.OPEN)


async def test_keys_are_needed_and_looked_after(tmp_path):
    path = tmp_path / 'keys'
    path.write_text('sim-key\nsim-secret\n')
    path.chmod(0o644)
    with pytest.raises(ConfigError, match='others may read it'):
        async with open_desk(key_file=path):
            pass
    path.chmod(0o600)
    async with open_desk(key_file=path) as desk:
        await desk.answer(desk.order('k1', price=far(desk)))
    path.write_text('sim-key\nwrong\n')
    with pytest.raises(VenueRefused, match='-1022'):
        async with open_desk(key_file=path):
            pass


@pytest.mark.parametrize('key', ['k\u00e9y', 'secret\x00words'])
async def test_a_key_that_is_none_is_refused_and_not_shown(tmp_path, key):
    path = tmp_path / 'keys'
    path.write_text(f'{key}\nsecret\n')
    path.chmod(0o600)
    with pytest.raises(ConfigError, match='key_file') as refused:
        async with open_desk(key_file=path):
            pass
    assert key not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_connection_is_kept_for_the_order_to_come(monkeypatch):
    """Used again and again, however long nothing is ordered."""
    monkeypatch.setattr(trading, '_WARM_S', 0.02)
    async with open_desk() as desk:
        rest = desk.gateway._rest
        await desk.answer(desk.order('w1', price=far(desk)))
        wanted = rest.requests + 8
        seen = set()
        with trio.fail_after(20):
            while rest.requests < wanted:
                seen |= set(rest._http._idle)
                await trio.sleep(0.002)
        # What a start has asked for at once took two.
        assert 1 <= len(seen) <= 2
