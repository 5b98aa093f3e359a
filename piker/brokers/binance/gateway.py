"""
The live gateway: one account's orders over signed REST, and what the venue
reports of them over its user-data stream.
"""
from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio

from ...clock import NS_PER_MS
from ...errors import (
    BadMessage,
    ConfigError,
    PikerError,
    VenueDown,
    VenueError,
)
from ...gateway import (
    Answer,
    CancelOrder,
    Command,
    GatewayMessage,
    LinkReport,
    Outcome,
    PlaceOco,
    PlaceOrder,
    QueryOrder,
    ReplaceOrder,
    Snapshot,
)
from ...instruments import Instrument
from .http import NotSent
from .keys import read_keys
from .orders import (
    ABILITIES,
    account_event,
    account_report,
    execution_reports,
    fills_of_answer,
    oco_params,
    order_params,
    order_report,
    trade_report,
    which_params,
)
from .provider import Binance
from .trading import Refused, SignedRest
from .userdata import UserStream

__all__ = ['BinanceGateway', 'open_gateway']

log = logging.getLogger(__name__)

# Less than emsd waits, so that it hears what became of its command from us.
_TIMEOUT_S = 4.0
_PAGE = 1000
_CANCEL_REJECTED = -2011
_NO_SUCH_ORDER = -2013
_REPLACE_PARTLY_FAILED = -2021


class BinanceGateway:
    """
    Satisfies `piker.gateway.LiveGateway`; made by `open_gateway`.

    Each command is a task of its own; those of one order wait for one
    another.
    """

    abilities = ABILITIES

    def __init__(
        self,
        account: str,
        rest: SignedRest,
        instruments: dict[str, Instrument],
        provider: str,
        nursery: trio.Nursery,
    ) -> None:
        self.account = account
        self._rest = rest
        self._nursery = nursery
        self._raw = {
            f'{local}.{provider}': found.raw_symbol
            for local, found in instruments.items()
        }
        self._ids = {raw: id_ for id_, raw in self._raw.items()}
        # An order's id at the venue → ours, which trades do not say.
        self._cids: dict[str, str] = {}
        self._last: dict[str, trio.Event] = {}
        self._out: list[GatewayMessage] = []
        self._arrived = trio.Event()
        self._link_up = False

    # the gateway's own interface

    def send(self, command: Command) -> None:
        """Hand over a command; does not wait."""
        self._nursery.start_soon(self._in_turn, command, *self._line(command))

    async def carry_out(self, command: Command) -> None:
        """`send` and wait until it is answered: at once, in this task."""
        await self._in_turn(command, *self._line(command))

    async def receive(self) -> list[GatewayMessage]:
        """What has come since the last call, at least one message."""
        while not self._out:
            self._arrived = trio.Event()
            await self._arrived.wait()
        messages, self._out = self._out, []
        return messages

    def _say(self, *messages: GatewayMessage) -> None:
        self._out += messages
        self._arrived.set()

    def _line(self, command: Command) -> tuple[list[trio.Event], trio.Event]:
        """What it has to wait for, and what those after it wait for."""
        cids = _cids_of(command)
        before = [self._last[cid] for cid in cids if cid in self._last]
        done = trio.Event()
        self._last |= dict.fromkeys(cids, done)
        return before, done

    async def _in_turn(
        self, command: Command, before: list[trio.Event], done: trio.Event
    ) -> None:
        for event in before:
            await event.wait()
        outcome, reason = Outcome.DONE, ''
        try:
            await self._do(command)
        except Refused as err:
            outcome, reason = _outcome_of(command, err), str(err)
        except NotSent as err:
            outcome, reason = Outcome.UNSENT, str(err)
        except (VenueError, BadMessage) as err:
            # An answer that cannot be read tells as little as none.
            outcome, reason = Outcome.DOUBT, str(err)
        finally:
            done.set()
            for cid in _cids_of(command):
                if self._last.get(cid) is done:
                    del self._last[cid]
        self._say(Answer(ref=command.ref, outcome=outcome, reason=reason))

    async def _do(self, command: Command) -> None:
        if isinstance(command, PlaceOrder):
            answer = await self._rest.ask(
                'POST', 'order',
                order_params(command, self._raw_of(command.symbol)),
            )
            self._say_order(answer, fills=True)
        elif isinstance(command, CancelOrder):
            answer = await self._rest.ask(
                'DELETE', 'order',
                which_params(command, self._raw_of(command.symbol)),
            )
            self._say_each(answer)
        elif isinstance(command, ReplaceOrder):
            await self._replace(command)
        elif isinstance(command, PlaceOco):
            symbol = self._raw_of(command.above.symbol)
            answer = await self._rest.ask(
                'POST', 'orderList/oco', oco_params(command, symbol)
            )
            self._say_each(answer, fills=True)
        elif isinstance(command, QueryOrder):
            await self._query(command)
        else:
            await self._snapshot(command)

    # orders

    async def _replace(self, command: ReplaceOrder) -> None:
        """
        Cancel and place as one, if nothing of the old order has filled.

        What has filled by then would be ordered twice: it is refused.
        """
        params = order_params(command.order, self._raw_of(command.symbol)) | {
            'cancelReplaceMode': 'STOP_ON_FAILURE',
            'cancelRestrictions': 'ONLY_NEW',
            'cancelOrigClientOrderId': command.cid,
        }
        try:
            answer = await self._rest.ask(
                'POST', 'order/cancelReplace', params
            )
        except Refused as err:
            # The old order is gone, and the new one was not taken.
            if err.code == _REPLACE_PARTLY_FAILED and _is_row(err.data):
                self._say_order(err.data['cancelResponse'])
                refusal = err.data.get('newOrderResponse') or {}
                raise Refused(
                    refusal.get('code', err.code),
                    str(refusal.get('msg') or err),
                ) from err
            raise
        self._say_order(answer['cancelResponse'])
        self._say_order(answer['newOrderResponse'], fills=True)

    async def _query(self, command: QueryOrder) -> None:
        raw = self._raw_of(command.symbol)
        row = await self._rest.ask('GET', 'order', which_params(command, raw))
        report = order_report(row, command.symbol)
        fills: list[GatewayMessage] = []
        if report.filled:
            trades = await self._rest.ask(
                'GET', 'myTrades',
                {'symbol': raw, 'orderId': report.venue_id, 'limit': _PAGE},
            )
            fills = [
                trade_report(trade, command.symbol, report.cid)
                for trade in trades
            ]
        self._note(report.venue_id, report.cid)
        self._say(*fills, report)

    async def _snapshot(self, command: Snapshot) -> None:
        """
        Open orders last: what fills meanwhile is in them or in the stream.
        """
        for symbol in command.symbols:
            await self._trades(symbol, command)
        account = await self._rest.ask('GET', 'account')
        rows = await self._rest.ask('GET', 'openOrders')
        self._say(account_report(account))
        self._say_each(rows)

    async def _trades(self, symbol: str, command: Snapshot) -> None:
        """Fills of a symbol since the last one known, page by page."""
        raw = self._raw_of(symbol)
        last = command.since.get(symbol)
        since = (
            {'fromId': int(last) + 1} if last is not None
            else {'startTime': command.since_ns // NS_PER_MS}
        )
        while True:
            rows = await self._rest.ask(
                'GET', 'myTrades', {'symbol': raw, 'limit': _PAGE} | since
            )
            fills = [
                trade_report(row, symbol, self._cids.get(
                    str(row.get('orderId')), ''
                )) for row in rows
            ]
            self._say(*fills)
            if len(rows) < _PAGE:
                return
            since = {'fromId': int(rows[-1]['id']) + 1}

    # reports

    def _say_each(self, answer: Any, *, fills: bool = False) -> None:
        """Orders of a list, or of an order list's answer, or the one."""
        if isinstance(answer, dict) and 'orderReports' in answer:
            answer = answer['orderReports']
        for row in answer if isinstance(answer, list) else [answer]:
            if _is_row(row) and row.get('symbol') not in self._ids:
                log.warning('%s: an order in %r, which is not listed: left '
                            'out', self.account, row.get('symbol'))
                continue
            self._say_order(row, fills=fills)

    def _say_order(self, row: Any, *, fills: bool = False) -> None:
        if not _is_row(row) or row.get('symbol') not in self._ids:
            raise BadMessage(f'not an order: {row!r:.300}')
        symbol = self._ids[row['symbol']]
        report = order_report(row, symbol)
        self._note(report.venue_id, report.cid)
        if fills:
            self._say(*fills_of_answer(row, symbol))
        self._say(report)

    def _note(self, venue_id: str, cid: str) -> None:
        self._cids[venue_id] = cid

    def on_event(self, event: dict[str, Any]) -> None:
        """An event of the user-data stream; one we can't read is logged."""
        try:
            kind = event.get('e')
            if kind == 'executionReport':
                symbol = self._ids.get(event.get('s', ''))
                if symbol is None:
                    raise BadMessage(f'{event.get("s")!r} is not listed')
                reports = execution_reports(event, symbol)
                self._note(reports[-1].venue_id, reports[-1].cid)
                self._say(*reports)
            elif kind == 'outboundAccountPosition':
                self._say(account_event(event))
            elif kind == 'balanceUpdate':
                # says by how much, not to what
                self._nursery.start_soon(self._read_balances)
        except BadMessage as err:
            log.warning('account %s: left out: %s', self.account, err)

    def on_link(self, up: bool, reason: str) -> None:
        """The user-data stream came up or went down."""
        self._link_up = up
        self._say(LinkReport(up=up, reason=reason))

    async def _read_balances(self) -> None:
        try:
            answer = await self._rest.ask('GET', 'account')
            self._say(account_report(answer))
        except (VenueError, BadMessage) as err:
            log.warning('account %s: balances: %s', self.account, err)

    def _raw_of(self, symbol: str) -> str:
        try:
            return self._raw[symbol]
        except KeyError:
            raise NotSent(f'{symbol} is not listed at the venue') from None


def _is_row(row: Any) -> bool:
    return isinstance(row, dict)


def _cids_of(command: Command) -> tuple[str, ...]:
    if isinstance(command, PlaceOco):
        return command.cid, command.above.cid, command.below.cid
    if isinstance(command, ReplaceOrder):
        return command.cid, command.order.cid
    if isinstance(command, Snapshot):
        return ()
    return (command.cid,)


def _outcome_of(command: Command, err: Refused) -> Outcome:
    unknown = (
        isinstance(command, CancelOrder) and err.code == _CANCEL_REJECTED
    ) or (isinstance(command, QueryOrder) and err.code == _NO_SUCH_ORDER)
    return Outcome.UNKNOWN if unknown else Outcome.REFUSED


def _check_allowed(
    account: str, provider: str, url: str, live: bool
) -> None:
    """No real money without ``live``, wherever the settings point."""
    host = urlsplit(url).hostname or ''
    if live or (provider == 'sim' and host in {'127.0.0.1', 'localhost'}):
        return
    raise ConfigError(
        f'account {account!r} would trade real money at {host}: to allow it, '
        f'set accounts.{account}.live = true in piker.toml'
    )


@asynccontextmanager
async def open_gateway(
    account: str, settings: dict[str, Any], backend: Binance
) -> AsyncGenerator[BinanceGateway, None]:
    """
    An account's gateway, see `piker.gateway.GatewayFactory`.

    Raises `ConfigError` where real money is not allowed or keys are missing,
    `VenueRefused` if the venue does not take them, `VenueDown`.
    """
    provider = backend.name
    _check_allowed(account, provider, backend.rest_url, settings['live'])
    keys = read_keys(account, provider, settings['key_file'])
    rest = SignedRest(
        backend.rest_url, keys, backend.limiter, backend.clock, _TIMEOUT_S
    )

    async def ask_key(method: str, **params: str) -> dict[str, Any]:
        answer: dict[str, Any] = await rest.ask(
            method, 'userDataStream', params, signed=False
        )
        return answer

    try:
        try:
            await rest.ask('GET', 'account')
        except Refused:
            raise
        except VenueDown as err:
            raise VenueDown(f'account {account}: {err}') from err
        instruments = await backend.instruments()
        async with trio.open_nursery() as nursery:
            gateway = BinanceGateway(
                account, rest, instruments, provider, nursery
            )
            stream = UserStream(
                backend.stream_url, ask_key, gateway.on_event,
                gateway.on_link,
            )
            nursery.start_soon(stream.run)
            nursery.start_soon(rest.keep_warm)
            yield gateway
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        only = [e for e in group.exceptions if isinstance(e, PikerError)]
        if len(only) == len(group.exceptions) == 1:
            raise only[0] from group
        raise
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            await rest.aclose()
