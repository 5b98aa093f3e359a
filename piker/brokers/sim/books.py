"""
The venue's books: orders, fills and balances, and how a trade is paid.
"""
from __future__ import annotations

import json
from collections.abc import Mapping

from .accounts import AGENTS, HOUSE, ONE, Account, Accounts
from .edits import Edit
from .engine import Fill, Side
from .market import Spec
from .orders import (
    Execution,
    Order,
    OrderList,
    base_amount,
    need_of,
    quote_amount,
)
from .state import State

__all__ = ['Books']


class Books:
    """
    All accounts' orders and fills, and what they hold and owe.

    Changes are collected until `save`.
    """

    def __init__(
        self, accounts: Accounts, specs: Mapping[str, Spec], state: State
    ) -> None:
        self.accounts = accounts
        self.specs = specs
        self.orders: dict[int, Order] = {o.id: o for o in state.orders()}
        self.lists: dict[int, OrderList] = {x.id: x for x in state.lists()}
        self.executions: list[Execution] = state.executions()
        self.waiting: dict[str, dict[int, Order]] = {}
        self._state = state
        self._next_id = int(state.meta('next_id') or 1)
        self._named: dict[tuple[str, str, str], int] = {}
        self._open: dict[tuple[str, str], dict[int, Order]] = {}
        self._fills: dict[int, list[Execution]] = {}
        self._changed: dict[int, Order] = {}
        self._changed_lists: dict[int, OrderList] = {}
        self._saved = len(self.executions)
        self._edits: list[tuple[str, Edit]] = []
        for order in self.orders.values():
            self._index(order)
            if order.is_open:
                asset, amount = self._need(order)
                account = accounts.by_name[order.account]
                if amount:  # the balances have it as locked already
                    account.holds[order.group] = asset, amount
        for execution in self.executions:
            self._fills.setdefault(execution.order_id, []).append(execution)

    def take_id(self) -> int:
        """An id for an order or a list."""
        self._next_id += 1
        return self._next_id - 1

    def open_orders(
        self, account: str | None = None, symbol: str | None = None
    ) -> list[Order]:
        """By id."""
        found = [
            order for (name, at), orders in self._open.items()
            if account in {None, name} and symbol in {None, at}
            for order in orders.values()
        ]
        return sorted(found, key=lambda order: order.id)

    def find(
        self, account: str, symbol: str, order_id: int | None, client_id: str
    ) -> Order | None:
        """By the venue's id, else the last order of that client id."""
        if order_id is None:
            order_id = self._named.get((account, symbol, client_id), -1)
        order = self.orders.get(order_id)
        if order is None or (order.account, order.symbol) != (account, symbol):
            return None
        if client_id and order.client_id != client_id:
            return None
        return order

    def legs(self, found: OrderList) -> list[Order]:
        """The orders of a list."""
        return [self.orders[order_id] for order_id in found.orders]

    def group(self, order: Order) -> list[Order]:
        """The orders that end with this one, itself included."""
        if order.list_id < 0:
            return [order]
        return self.legs(self.lists[order.list_id])

    def fills_of(self, order: Order) -> list[Execution]:
        """Oldest first."""
        return self._fills.get(order.id, [])

    def add(self, order: Order) -> None:
        """Enter a new order."""
        self.orders[order.id] = order
        self._index(order)
        self.change(order)

    def add_list(self, pair: OrderList) -> None:
        self.lists[pair.id] = self._changed_lists[pair.id] = pair

    def change(self, order: Order) -> None:
        """An order is to be saved; it may have ended or begun to work."""
        self._changed[order.id] = order
        if not order.waiting or not order.is_open:
            self.waiting.get(order.symbol, {}).pop(order.id, None)
        if not order.is_open:
            key = order.account, order.symbol
            self._open.get(key, {}).pop(order.id, None)

    def end_list(self, pair: OrderList) -> None:
        pair.done = True
        self._changed_lists[pair.id] = pair

    def note_edit(self, symbol: str, edit: Edit) -> None:
        """The tape has left its plan."""
        self._edits.append((symbol, edit))

    def need(self, orders: list[Order]) -> tuple[str, int]:
        """Asset and amount that orders which end together hold."""
        spec = self.specs[orders[0].symbol]
        asset = spec.quote if orders[0].side is Side.BUY else spec.base
        return asset, max(need_of(spec, order) for order in orders)

    def hold(self, order: Order) -> None:
        """Hold what the order's group needs now, no more and no less."""
        asset, amount = self._need(order)
        account = self.accounts.by_name[order.account]
        self.accounts.hold(account, order.group, asset, amount)

    def trade(
        self,
        symbol: str,
        fill: Fill,
        side: Side,
        taker: Order | None,
        maker: Order | None,
        time_ms: int,
    ) -> list[Execution]:
        """
        Pay for a fill and note it for each user in it, the maker first.

        ``side`` is the taker's.  Who is None is one of the agents.
        """
        spec = self.specs[symbol]
        base = base_amount(spec, fill.size)
        quote = quote_amount(spec, fill.price, fill.size)
        users = [(maker, taker, True), (taker, maker, False)]
        for order, _other, _maker in users:
            if order is not None:
                account = self.accounts.by_name[order.account]
                self.accounts.hold(account, order.group, *self._nothing(order))
        buyer, seller = (
            (taker, maker) if side is Side.BUY else (maker, taker)
        )
        self.accounts.move(spec.quote, quote, self._owner(buyer),
                           self._owner(seller))
        self.accounts.move(spec.base, base, self._owner(seller),
                           self._owner(buyer))
        made = []
        for order, other, is_maker in users:
            if order is None:
                continue
            order.filled += fill.size
            order.spent += quote
            order.status = 'PARTIALLY_FILLED' if order.left else 'FILLED'
            order.changed_ms = time_ms
            made.append(self._note(order, other, fill, quote, is_maker))
            self.change(order)
            self.hold(order)
        return made

    def _note(
        self, order: Order, other: Order | None, fill: Fill, quote: int,
        is_maker: bool,
    ) -> Execution:
        """One user's side of a trade, its commission taken."""
        spec = self.specs[order.symbol]
        account = self._owner(order)
        buys = order.side is Side.BUY
        asset = spec.base if buys else spec.quote
        received = base_amount(spec, fill.size) if buys else quote
        fee = received * (account.maker if is_maker else account.taker) // ONE
        self.accounts.move(asset, fee, account, self.accounts.by_name[HOUSE])
        execution = Execution(
            trade_id=fill.trade_id, order_id=order.id, account=order.account,
            symbol=order.symbol, list_id=order.list_id, side=order.side,
            price=fill.price, size=fill.size, quote=quote, fee=fee,
            fee_asset=asset, time_ms=order.changed_ms, maker=is_maker,
            counter=other.id if other else 0,
        )
        self.executions.append(execution)
        self._fills.setdefault(order.id, []).append(execution)
        return execution

    def save(self, now_ms: int, meta: dict[str, str]) -> dict[str, set[str]]:
        """
        Write what has changed; by account, the assets that have.

        ``meta`` is saved with it.  Does nothing if nothing has changed.
        """
        accounts, self.accounts.changed = self.accounts.changed, {}
        fresh = self.executions[self._saved:]
        if not (accounts or self._changed or self._changed_lists or fresh
                or self._edits or meta):
            return {}
        for name in accounts:
            self.accounts.by_name[name].updated_ms = now_ms
        self._state.save(
            accounts=[self.accounts.by_name[name] for name in accounts],
            orders=self._changed.values(),
            lists=self._changed_lists.values(),
            executions=fresh, edits=self._edits,
            meta=meta | {'next_id': json.dumps(self._next_id)},
        )
        self._saved = len(self.executions)
        self._changed, self._changed_lists, self._edits = {}, {}, []
        return accounts

    def _index(self, order: Order) -> None:
        self._named[order.account, order.symbol, order.client_id] = order.id
        if not order.is_open:
            return
        key = order.account, order.symbol
        self._open.setdefault(key, {})[order.id] = order
        if order.waiting:
            self.waiting.setdefault(order.symbol, {})[order.id] = order

    def _need(self, order: Order) -> tuple[str, int]:
        return self.need(self.group(order))

    def _nothing(self, order: Order) -> tuple[str, int]:
        return self._need(order)[0], 0

    def _owner(self, order: Order | None) -> Account:
        name = AGENTS if order is None else order.account
        return self.accounts.by_name[name]
