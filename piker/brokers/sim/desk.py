"""
The desk: what users' orders go through from placement to their end.

Everything happens in turns (`UserDesk.turn`): what a turn has changed is saved
in one transaction at its end, and told on the streams only then.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from .accounts import Accounts
from .books import Books
from .edits import Edit
from .engine import Report, Side, Status
from .filters import check_count
from .market import Spec
from .matching import Matcher, Ticket
from .orders import (
    ALGO,
    Execution,
    Order,
    OrderList,
    is_through,
    quote_amount,
    trail,
    working_ticket,
)
from .params import ApiError
from .reports import account_event, execution_report, list_event
from .state import State
from .userdata import UserData

__all__ = ['UserDesk', 'make_desk']

_REFUSED = -2010
_ENDLESS = 1 << 62


class UserDesk:
    """All accounts' orders; a `matching.Desk`.  Refusals are `ApiError`."""

    def __init__(
        self, matcher: Matcher, books: Books, userdata: UserData
    ) -> None:
        self.books = books
        self.userdata = userdata
        self._matcher = matcher
        self._prices: dict[str, list[int]] = {}
        self._depth = 0

    # what exchanges call

    def resting(self, symbol: str) -> list[Ticket]:
        found = [order for order in self.books.open_orders(symbol=symbol)
                 if not order.waiting]
        found.sort(key=lambda order: (order.working_ms, order.id))
        return [working_ticket(order) for order in found]

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The turn is saved and told when the outermost block is left."""
        self._depth += 1
        try:
            yield
        except ApiError:
            # a refusal; what came before it stands
            self._depth -= 1
            if not self._depth:
                self._finish()
            raise
        except BaseException:
            self._depth -= 1
            raise
        self._depth -= 1
        if not self._depth:
            self._finish()

    def edited(self, symbol: str, edit: Edit) -> None:
        self.books.note_edit(symbol, edit)

    def traded(self, symbol: str, report: Report, time_ms: int) -> None:
        self._book(symbol, report, time_ms, None)
        self._fire(symbol)

    def began(self, symbol: str) -> None:
        if self.books.waiting.get(symbol):
            self._matcher.watch(symbol)
        last = self._matcher.last_price(symbol)
        if last is not None:
            self._prices.setdefault(symbol, []).append(last)
            self._fire(symbol)

    # what the endpoints call, within a turn

    def check(self, new: list[Order], freed: int = 0) -> None:
        """
        Refuse orders that can't be placed, with nothing changed.

        ``freed`` is what a cancellation will have freed by then.
        """
        first = new[0]
        there = self.books.open_orders(first.account, first.symbol)
        check_count(new, there)
        names = [order.client_id for order in new if order.client_id]
        taken = {order.client_id for order in there}
        if len(set(names)) < len(names) or taken & set(names):
            raise ApiError(_REFUSED, 'Duplicate order sent.')
        last = self._matcher.last_price(first.symbol)
        for order in new:
            if order.type == 'LIMIT_MAKER' and self._matcher.sweep(
                order.symbol, order.side, 1, order.price, ()
            ):
                raise ApiError(
                    _REFUSED, 'Order would immediately match and take.'
                )
            if order.type in ALGO and not order.trail and (
                last is not None and is_through(order, last)
            ):
                raise ApiError(
                    _REFUSED, 'Stop price would trigger immediately.'
                )
        asset, amount = self.books.need(new)
        if first.type == 'MARKET' and first.side is Side.BUY:
            amount = first.quote_size or self._cost(first)
        account = self.books.accounts.by_name[first.account]
        if amount > account.free[asset] + freed:
            raise ApiError(
                _REFUSED, 'Account has insufficient balance for requested '
                          'action.'
            )

    def place(self, new: list[Order], pair: OrderList | None = None) -> None:
        """Place an order, or the two of ``pair``, once `check` is passed."""
        now = self._matcher.trade_ms(new[0].symbol)
        self._matcher.watch(new[0].symbol)
        if pair is not None:
            pair.id, pair.made_ms = self.books.take_id(), now
            pair.client_id = pair.client_id or f'sim-list-{pair.id}'
        for order in new:
            order.id = self.books.take_id()
            order.client_id = order.client_id or f'sim-{order.id}'
            order.made_ms = order.changed_ms = now
            order.waiting = order.type in ALGO
            order.working_ms = -1 if order.waiting else now
            last = self._matcher.last_price(order.symbol)
            if order.trail and last is not None:
                trail(order, last)
            if order.quote_size:
                order.size = self._size_for(order)
            if pair is not None:
                order.list_id = pair.id
        if pair is not None:
            pair.orders = (new[0].id, new[1].id)
            self.books.add_list(pair)
            self._tell_list(pair, new)
        for order in new:
            self.books.add(order)
            self._tell(order, 'NEW')
        self.books.hold(new[0])
        for order in new:
            if order.is_open and not order.waiting:
                self._work(order)
        self._fire(new[0].symbol)

    def cancel(self, order: Order, cancel_id: str) -> list[Order]:
        """Cancel an order and what is listed with it; all that ended."""
        now = self._matcher.trade_ms(order.symbol)
        ended = [leg for leg in self.books.group(order) if leg.is_open]
        for leg in ended:
            leg.cancel_id = cancel_id or f'sim-cancel-{leg.id}'
            self._end(leg, 'CANCELED', now)
        return ended

    # what orders go through

    def _work(self, order: Order) -> None:
        """Let an order match and rest."""
        symbol, time_ms = order.symbol, self._matcher.trade_ms(order.symbol)
        if not order.size:
            self._end(order, 'EXPIRED', time_ms)
            return
        ticket = working_ticket(order, self._resting_ids(order))
        report = self._matcher.submit(symbol, ticket)
        for order_id in report.expired:
            self._end(self.books.orders[order_id], 'EXPIRED_IN_MATCH',
                      time_ms)
        self._book(symbol, report, time_ms, order)
        if report.status in {Status.EXPIRED, Status.REJECTED}:
            self._end(
                order,
                'EXPIRED_IN_MATCH' if report.prevented else 'EXPIRED',
                time_ms,
            )

    def _book(
        self, symbol: str, report: Report, time_ms: int, taker: Order | None
    ) -> None:
        """Give the users in a report's fills what is theirs."""
        prices = self._prices.setdefault(symbol, [])
        for fill in report.fills:
            if not prices or prices[-1] != fill.price:
                prices.append(fill.price)
            maker = self.books.orders.get(fill.maker_id)
            if maker is None and taker is None:
                continue
            for made in self.books.trade(
                symbol, fill, report.side, taker, maker, time_ms
            ):
                order = self.books.orders[made.order_id]
                self._tell(order, 'TRADE', made)
                self._expire_siblings(order, time_ms)
                if not order.is_open:
                    self._finish_list(order)

    def _fire(self, symbol: str) -> None:
        """Trigger what the prices that have traded trigger, and so on."""
        while prices := self._prices.pop(symbol, None):
            for price in prices:
                for order in list(self.books.waiting.get(symbol,
                                                         {}).values()):
                    if order.trail and trail(order, price):
                        self.books.change(order)
                    if order.waiting and order.is_open and is_through(
                        order, price
                    ):
                        self._trigger(order)

    def _trigger(self, order: Order) -> None:
        now = self._matcher.trade_ms(order.symbol)
        order.waiting = False
        order.working_ms = order.changed_ms = now
        self.books.change(order)
        self._tell(order, 'NEW')
        self._expire_siblings(order, now)
        if order.side is Side.BUY and not order.price:
            account = self.books.accounts.by_name[order.account]
            asset = self.books.specs[order.symbol].quote
            if self._cost(order) > account.free[asset]:
                self._end(order, 'EXPIRED', now)
                return
        self._work(order)

    def _expire_siblings(self, order: Order, now: int) -> None:
        for leg in self.books.group(order):
            if leg is not order and leg.is_open:
                self._end(leg, 'EXPIRED', now)

    def _end(self, order: Order, status: str, now: int) -> None:
        """An order ends without being filled whole."""
        if not order.waiting:
            self._matcher.cancel(order.symbol, order.id)
        order.status = status
        order.changed_ms = now
        self.books.change(order)
        self.books.hold(order)
        if status == 'EXPIRED_IN_MATCH':
            self._tell(order, 'TRADE_PREVENTION')
        else:
            self._tell(order, status)
        self._finish_list(order)

    def _finish_list(self, order: Order) -> None:
        """End the order's list if nothing of it is open."""
        pair = self.books.lists.get(order.list_id)
        if pair is None or pair.done:
            return
        legs = self.books.legs(pair)
        if not any(leg.is_open for leg in legs):
            self.books.end_list(pair)
            self._tell_list(pair, legs)

    def _resting_ids(self, order: Order) -> frozenset[int]:
        """The account's other orders that the order could meet."""
        return frozenset(
            other.id for other in self.books.open_orders(order.account,
                                                         order.symbol)
            if not other.waiting and other.side is not order.side
        )

    def _cost(self, order: Order) -> int:
        """What a purchase at the market would cost at most, now."""
        spec = self.books.specs[order.symbol]
        return sum(
            quote_amount(spec, price, lots, up=True)
            for price, lots in self._matcher.sweep(
                order.symbol, Side.BUY, order.size, None,
                self._resting_ids(order),
            )
        )

    def _size_for(self, order: Order) -> int:
        """The lots that come nearest to a quote quantity, not beyond it."""
        spec = self.books.specs[order.symbol]
        left, size = order.quote_size, 0
        for price, lots in self._matcher.sweep(
            order.symbol, order.side, _ENDLESS, None,
            self._resting_ids(order),
        ):
            one = quote_amount(spec, price, 10**spec.size_digits, up=True)
            fits = min(lots, left * 10**spec.size_digits // one)
            size += fits
            left -= quote_amount(spec, price, fits, up=True)
            if fits < lots:
                break
        return size

    # what is told

    def _tell(
        self, order: Order, kind: str, made: Execution | None = None
    ) -> None:
        spec = self.books.specs[order.symbol]
        now = self._matcher.now_ms()
        self.userdata.tell(
            order.account, execution_report(order, spec, kind, now, made)
        )

    def _tell_list(self, pair: OrderList, legs: list[Order]) -> None:
        self.userdata.tell(
            pair.account, list_event(pair, legs, self._matcher.now_ms())
        )

    def _finish(self) -> None:
        now = self._matcher.now_ms()
        meta = {}
        if self.userdata.changed:
            self.userdata.changed = False
            meta['listen_keys'] = json.dumps(self.userdata.saved())
        changed = self.books.save(now, meta)
        self._matcher.publish()
        for name, assets in changed.items():
            account = self.books.accounts.by_name[name]
            if account.key and assets:
                self.userdata.tell(name, account_event(account, assets, now))
        self.userdata.flush()


def make_desk(
    matcher: Matcher,
    specs: Mapping[str, Spec],
    state: State,
    publish: Callable[[str, bytes], None],
) -> UserDesk:
    """The desk of ``matcher`` as ``state`` has it, and put in its place."""
    accounts = Accounts()
    state.load_accounts(accounts)
    userdata = UserData(publish)
    userdata.load(json.loads(state.meta('listen_keys') or '{}'))
    desk = UserDesk(matcher, Books(accounts, specs, state), userdata)
    matcher.desk = desk
    return desk
