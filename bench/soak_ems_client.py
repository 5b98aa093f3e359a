"""
One who trades at random, and writes down what he asks for before he asks.

The client of `soak_ems`: it may be killed at any moment and started again.
What has no answer in its log by then, it asks for once more.
"""
from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import trio

from .soak_truth import get, venue_url

_MOST_ASKED = 12  # calls under way at once
_MOST_OPEN = 60  # orders; beyond that, more is cancelled
_END_WITHIN_S = 90.0
ACCOUNT = 'sim'

Op = dict[str, Any]


class Log:
    """
    What was asked for and how it was answered, a line of JSON each.

    A line is with the kernel when `write` returns: a kill loses none.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.ops, self.answers = read_log(path)
        if not path.read_bytes().endswith(b'\n'):
            os.write(self._fd, b'\n')

    def write(self, line: Op) -> None:
        os.write(self._fd, json.dumps(line).encode() + b'\n')

    def unanswered(self) -> list[Op]:
        return [op for n, op in self.ops.items() if n not in self.answers]


def read_log(path: Path) -> tuple[dict[int, Op], dict[int, Op]]:
    """What was asked for, and the last answer to it; by number."""
    ops: dict[int, Op] = {}
    answers: dict[int, Op] = {}
    for text in path.read_text().splitlines() if path.exists() else ():
        line = json.loads(text) if text.endswith('}') else {}
        if 'do' in line:
            ops[line['n']] = line
        elif 'answer' in line:
            answers[line['n']] = line
    return ops, answers


class Operator:
    """Makes up what to do next; ``dice`` decides everything."""

    def __init__(
        self, name: str, dice: Random, symbols: list[str], log: Log
    ) -> None:
        self.name = name
        self.dice = dice
        self.symbols = symbols
        self.number = max(log.ops, default=0)
        self._asked: list[Op] = [
            op for op in log.ops.values() if op['do'] == 'submit'
        ]
        self._kinds = {
            'market': (self._market, 8), 'limit': (self._limit, 14),
            'resting': (self._resting, 12), 'post-only': (self._post, 8),
            'ioc': (self._ioc, 6), 'fok': (self._fok, 5),
            'iceberg': (self._iceberg, 6), 'stop': (self._stop, 5),
            'stop-limit': (self._stop_limit, 5),
            'take-profit': (self._take, 4),
            'take-profit-limit': (self._take_limit, 4),
            'trailing': (self._trailing, 5), 'through': (self._through, 5),
            'dark': (self._dark, 6), 'oco': (self._oco, 8),
            'bracket': (self._bracket, 8), 'gtd': (self._gtd, 6),
        }

    def next(self, feed: Any, dialogs: list[Any]) -> Op:
        """An operation, in words that can be written down."""
        self.number += 1
        what = self.dice.random()
        if dialogs and (what < 0.25 or len(dialogs) > _MOST_OPEN):
            return self._op('cancel', 'cancel', **_who(self._pick(dialogs)))
        if dialogs and what < 0.45:
            view = self._pick(dialogs)
            return self._op('modify', 'change', **_who(view),
                            values=self._change(view, feed))
        if what < 0.455:
            symbol = self.dice.choice(['', *self.symbols])
            return self._op('cancel-all', 'cancel_all', symbol=symbol)
        if what < 0.48 and self._asked:
            before = self.dice.choice(self._asked[-50:])
            return self._op('again', 'submit', requests=before['requests'])
        kind = self.dice.choices(
            list(self._kinds), [w for _, w in self._kinds.values()]
        )[0]
        self._look(feed[self.dice.choice(self.symbols)])
        requests = self._kinds[kind][0]()
        op = self._op(kind, 'submit', requests=requests)
        self._asked.append(op)
        return op

    def _op(self, kind: str, do: str, **more: Any) -> Op:
        return {'n': self.number, 'kind': kind, 'do': do, **more}

    def _pick(self, dialogs: list[Any]) -> Any:
        return self.dice.choice(dialogs)

    def _look(self, flume: Any) -> None:
        """At which instrument, side and price the next order is."""
        self._instrument = flume.instrument
        self._mid = Decimal(repr(flume.quote().last))
        self._side = self.dice.choice(['buy', 'sell'])
        self._count = 0

    @property
    def _sign(self) -> int:
        return 1 if self._side == 'buy' else -1

    def _price(self, points: float) -> str:
        """``points`` hundredths of a percent to the better of the side."""
        step = Decimal(round(-self._sign * points * 100)) / 1_000_000
        return str(self._instrument.round_price(self._mid * (1 + step)))

    def _size(self, times: float = 1.0) -> Decimal:
        worth = float(self._instrument.min_notional) * times * (
            1.2 + self.dice.lognormvariate(1.0, 1.0)
        )
        lot = self._instrument.lot_size
        lots = (Decimal(worth) / self._mid / lot).to_integral_value(ROUND_DOWN)
        return (lots + 1) * lot

    def _request(self, **values: Any) -> dict[str, Any]:
        self._count += 1
        letter = 'abc'[self._count - 1]
        return {
            'oid': f'{self.name}-{self.number}{letter}',
            'account': ACCOUNT, 'symbol': self._instrument.id,
            'side': self._side, 'size': str(self._size()),
        } | values

    def _near(self) -> float:
        return self.dice.gauss(0.3, 1.5)

    def _away(self) -> float:
        return self.dice.uniform(0.3, 6.0)

    def _market(self) -> list[Op]:
        many = 40.0 if self.dice.random() < 0.2 else 1.0
        return [self._request(type='market', size=str(self._size(many)))]

    def _limit(self) -> list[Op]:
        many = 30.0 if self.dice.random() < 0.3 else 1.0
        return [self._request(
            type='limit', price=self._price(self._near()),
            size=str(self._size(many)),
        )]

    def _resting(self) -> list[Op]:
        away = self.dice.uniform(5, 100)
        return [self._request(type='limit', price=self._price(away))]

    def _post(self) -> list[Op]:
        return [self._request(
            type='limit', price=self._price(abs(self._near())),
            post_only=True,
        )]

    def _ioc(self) -> list[Op]:
        return [self._request(
            type='limit', price=self._price(self.dice.uniform(-1, 0.3)),
            tif='ioc', size=str(self._size(30.0)),
        )]

    def _fok(self) -> list[Op]:
        return [self._request(
            type='limit', price=self._price(self.dice.uniform(-1, 0.3)),
            tif='fok', size=str(self._size(5.0)),
        )]

    def _iceberg(self) -> list[Op]:
        lot = self._instrument.lot_size
        shown = self._size(2.0)
        size = shown * 4 + lot * self.dice.randrange(3)
        return [self._request(
            type='limit', price=self._price(self._near()), size=str(size),
            display=str(shown),
        )]

    def _stop(self) -> list[Op]:
        return [self._request(type='stop', stop=self._price(-self._away()))]

    def _stop_limit(self) -> list[Op]:
        away = self._away()
        return [self._request(
            type='stop', stop=self._price(-away),
            price=self._price(-away - self.dice.uniform(-1, 3)),
        )]

    def _take(self) -> list[Op]:
        return [self._request(
            type='take-profit', stop=self._price(self._away())
        )]

    def _take_limit(self) -> list[Op]:
        away = self._away()
        return [self._request(
            type='take-profit', stop=self._price(away),
            price=self._price(away + self.dice.uniform(-2, 1)),
        )]

    def _trailing(self) -> list[Op]:
        trail = self._instrument.round_price(
            self._mid * Decimal(round(self._away() * 100)) / 1_000_000
        )
        trail = max(trail, self._instrument.tick_size)
        return [self._request(type='trailing-stop', trail=str(trail))]

    def _through(self) -> list[Op]:
        found = self._request(
            type='through',
            stop=self._price(self.dice.choice([-1, 1]) * self._away()),
        )
        if self.dice.random() < 0.5:
            found['price'] = self._price(self._near())
        return [found]

    def _dark(self) -> list[Op]:
        kind = self.dice.choice(['limit', 'stop', 'take-profit'])
        better = 1 if kind == 'take-profit' else -1
        found = self._request(type=kind, dark=True)
        if kind != 'limit':
            found['stop'] = self._price(better * self._away())
        if kind == 'limit' or self.dice.random() < 0.5:
            found['price'] = self._price(self._near())
        return [found]

    def _pair(self, size: str, **more: Any) -> list[Op]:
        gain = self._request(
            type='limit', size=size, price=self._price(self._away()), **more
        )
        away = self._away()
        loss = self._request(
            type='stop', size=size, stop=self._price(-away), **more
        )
        if self.dice.random() < 0.5:
            loss['price'] = self._price(-away - 2)
        if self.dice.random() < 0.3:
            loss['dark'] = True
        return [gain, loss]

    def _oco(self) -> list[Op]:
        return self._pair(
            str(self._size()), oco=f'{self.name}-{self.number}'
        )

    def _bracket(self) -> list[Op]:
        """An order, and what ends the position that it makes."""
        size = str(self._size(3.0))
        parent = self._request(type='limit', size=size,
                               price=self._price(self._near()))
        if self.dice.random() < 0.3:
            parent = parent | {'type': 'market'}
            del parent['price']
        self._side = 'sell' if self._side == 'buy' else 'buy'
        return [parent, *self._pair(
            size, parent=parent['oid'], oco=f'{self.name}-{self.number}'
        )]

    def _gtd(self) -> list[Op]:
        till = time.time_ns() + round(self.dice.uniform(0.5, 8) * 1e9)
        return [self._request(
            type='limit', price=self._price(self._away()), tif='gtd',
            good_till_ns=till,
        )]

    def _change(self, view: Any, feed: Any) -> dict[str, str]:
        self._look(feed[view.request.symbol])
        request = view.request
        self._side = request.side.value
        values: dict[str, str] = {}
        if request.price is not None:
            values['price'] = self._price(self._near())
        elif request.stop is not None:
            better = 1 if request.type == 'take-profit' else -1
            values['stop'] = self._price(better * self._away())
        if self.dice.random() < 0.4 or not values:
            values['size'] = str(request.size + self._size())
        return values


def _who(view: Any) -> dict[str, Any]:
    return {'oid': view.request.oid}


class _Desk:
    """Asks for what the operator makes up, and notes the answers."""

    def __init__(self, ems: Any, log: Log) -> None:
        self.ems = ems
        self.log = log
        self.left = trio.Semaphore(_MOST_ASKED)

    async def ask(self, op: Op) -> None:
        """Ask for it; the log has it already."""
        from piker.errors import BadInput

        try:
            await self._ask(op)
            answer, text = 'ok', ''
        except BadInput as err:
            answer, text = 'refused', str(err)
        finally:
            self.left.release()
        self.log.write({'n': op['n'], 'answer': answer, 'text': text})

    async def _ask(self, op: Op) -> None:
        from piker.messages import unpack
        from piker.orders import OrderRequest

        ems = self.ems
        match op['do']:
            case 'submit':
                await ems.submit_all(
                    [unpack(OrderRequest, r) for r in op['requests']]
                )
            case 'change':
                await ems.change(op['oid'], account=ACCOUNT, **op['values'])
            case 'cancel':
                await ems.cancel(op['oid'], account=ACCOUNT)
            case 'cancel_all':
                await ems.cancel_all(ACCOUNT, op['symbol'])

    async def start(self, nursery: trio.Nursery, op: Op) -> None:
        await self.left.acquire()
        nursery.start_soon(self.ask, op)


async def operate(given: dict[str, Any]) -> dict[str, Any]:
    """
    Ask for things at random until ``quota`` of them are in the log.

    ``rate`` of them a second in the mean.  Says ``ready`` once attached.
    """
    from piker.clearing import open_ems
    from piker.data import open_feed

    log = Log(Path(given['log']))
    name, symbols = given['name'], given['symbols']
    dice = Random(f'{given["seed"]} {name} {len(log.ops)}')
    operator = Operator(name, dice, symbols, log)
    again = log.unanswered()
    async with (
        open_feed(symbols, client=name) as feed,
        open_ems(client=name) as ems,
    ):
        print(json.dumps({'ready': await venue_url()}), flush=True)
        desk = _Desk(ems, log)
        with trio.move_on_after(given['within_s']) as all_of_it:
            async with trio.open_nursery() as nursery:
                for op in again:
                    await desk.start(nursery, op)
                while operator.number < given['quota']:
                    await trio.sleep(dice.expovariate(given['rate']))
                    op = operator.next(feed, [
                        view for (account, _), view in ems.dialogs.items()
                        if account == ACCOUNT and not view.status.final
                    ])
                    log.write(op)
                    await desk.start(nursery, op)
                all_of_it.deadline = trio.current_time() + _END_WITHIN_S
    return {'asked_again': len(again),
            'unanswered': all_of_it.cancelled_caught}


async def settle(given: dict[str, Any]) -> dict[str, Any]:
    """
    Cancel all, wait until everything is over, and look at what there is.

    ``oids`` is the file of those that were ever asked for.  Writes to ``out``
    what a client sees, the balances once they are as they stay.
    """
    from piker.clearing import open_ems
    from piker.errors import BadInput

    views: dict[str, Any] = {}
    absent: list[str] = []
    waited = time.monotonic()
    async with open_ems(client='settle') as ems:
        with trio.move_on_after(given['within_s']):
            while not ems.accounts[ACCOUNT].ready:
                await trio.sleep(0.05)
            await ems.cancel_all(ACCOUNT)
            for oid in json.loads(Path(given['oids']).read_text()):
                try:
                    view = await ems.closed(oid, account=ACCOUNT)
                    views[oid] = view
                except BadInput:
                    absent.append(oid)
        took = time.monotonic() - waited
        # what is over may still be told of, late and twice
        await _quiet(ems)
        agreed = await _until_paid(ems, given['url'])
        await _until_marked(ems)
        for (account, oid), view in ems.dialogs.items():
            if account == ACCOUNT:
                views[oid] = view
        found = {
            'views': views,
            'absent': absent,
            'fills': [f for f in ems.fills if f.account == ACCOUNT],
            'positions': [p for p in ems.positions.values()
                          if p.account == ACCOUNT],
            'balances': ems.balances[ACCOUNT],
            'settled_s': took,
            'agreed_s': agreed,
            'notices': [n.text for n in ems.notices],
        }
    Path(given['out']).write_bytes(msgspec.json.encode(found))
    return {'settled_s': took}


async def _quiet(ems: Any, for_s: float = 2.0, within_s: float = 60.0) -> None:
    """Until nothing has happened for a while."""
    with ems.events() as events, trio.move_on_after(within_s):
        while True:
            with trio.move_on_after(for_s) as waiting:
                await events.__anext__()
            if waiting.cancelled_caught:
                return


async def _until_paid(
    ems: Any, url: str, within_s: float = 45.0
) -> float:
    """
    Until the balances are the venue's; how long that took.

    Those come by the stream alone, which may be cut at the time.
    """
    began = time.monotonic()
    books = await trio.to_thread.run_sync(
        lambda: get(url, '/sim/v1/books', account=ACCOUNT)
    )
    wanted = {
        asset.lower(): Decimal(row['free'])
        for asset, row in books['balances'].items()
    }
    with trio.move_on_after(within_s):
        while wanted != {
            asset: balance.free
            for asset, balance in ems.balances[ACCOUNT].items()
        }:
            await trio.sleep(0.1)
    return time.monotonic() - began


async def _until_marked(ems: Any, within_s: float = 45.0) -> None:
    """
    Until what is held has a price.

    After a kill there is none before the symbol's feed is live again, and
    profit that is not realised shows as 0 for so long.
    """
    with trio.move_on_after(within_s):
        while any(
            position.size and position.stale
            for position in ems.positions.values()
            if position.account == ACCOUNT
        ):
            await trio.sleep(0.1)


async def main(given: dict[str, Any]) -> dict[str, Any]:
    return await (settle if given['do'] == 'settle' else operate)(given)


def summed(logs: list[Path]) -> Counter[str]:
    """How many of which kind were asked for."""
    found: Counter[str] = Counter()
    for path in logs:
        found.update(op['kind'] for op in read_log(path)[0].values())
    return found


if __name__ == '__main__':
    result = trio.run(main, json.loads(sys.argv[1]))
    print(json.dumps({'result': result}), flush=True)
