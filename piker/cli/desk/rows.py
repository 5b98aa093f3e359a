"""
What the panels show, from what ``emsd`` and the feeds have; no drawing.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal

from ...clearing import EmsClient
from ...clock import NS_PER_S, format_ns
from ...instruments import Instrument
from ...orders import (
    Alert,
    DialogView,
    Fill,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionView,
)
from ..ems.words import amount, money, note_text, state_text
from .columns import COLUMNS
from .quotes import Quotes, Watched
from .table import Cell, Row

__all__ = [
    'LogLine',
    'alert_rows',
    'balance_rows',
    'fill_rows',
    'log_rows',
    'order_rows',
    'position_rows',
    'quote_rows',
    'wanted_symbols',
]

_MOST = 500
# Where room is scarce.
_TYPES = {
    OrderType.TAKE_PROFIT: 'profit', OrderType.TRAILING_STOP: 'trail',
    OrderType.THROUGH: 'thru',
}
_BAD = frozenset({OrderStatus.REJECTED})
_WAITING = frozenset({
    OrderStatus.PENDING, OrderStatus.TRIGGERED, OrderStatus.HELD,
})


@dataclass(frozen=True, slots=True)
class LogLine:
    """``attr`` is how loud it is."""

    number: int
    time_ns: int
    text: str
    attr: str = ''


def wanted_symbols(ems: EmsClient, chosen: Iterable[str]) -> list[str]:
    """Those chosen, then those that something depends on."""
    found = dict.fromkeys(chosen)
    found.update(dict.fromkeys(sorted(
        {
            view.request.symbol for view in ems.dialogs.values()
            if not view.status.final
        }
        | {p.symbol for p in ems.positions.values() if p.size}
        | {a.symbol for a in ems.alerts.values() if not a.fired_ns}
    )))
    return list(found)


def _price(instrument: Instrument | None, price: Decimal | None) -> str:
    if price is None:
        return ''
    if instrument is None or not instrument.on_tick(price):
        return amount(price)
    return instrument.format_price(price)


def _side(side: OrderSide) -> Cell:
    return (side.value, side.value)


def _clock(time_ns: int) -> str:
    return format_ns(time_ns)[11:19]


def quote_rows(quotes: Quotes, now_ns: int) -> list[Row]:
    return [_quote_row(watched, now_ns) for watched in quotes.all()]


def _quote_row(watched: Watched, now_ns: int) -> Row:
    key = (watched.symbol,)
    quote, i = watched.quote(), watched.instrument
    if quote is None or i is None:
        cells = [(watched.symbol, 'error' if watched.trouble else '')]
        blank = [('', '')] * (len(COLUMNS['quotes']) - 2)
        state = ('error' if watched.trouble else 'faint', watched.state)
        return Row(key, (*((a, t) for t, a in cells), *blank, state))
    attr = {1: 'up', -1: 'down', 0: ''}[watched.way]
    live = watched.live
    dim = '' if live else 'faint'
    age_s = max(0, now_ns - quote.recv) / NS_PER_S
    both = quote.bid and quote.ask
    return Row(key, (
        (dim, watched.symbol),
        (attr if live else dim, i.format_price(quote.last)),
        (dim, i.format_size(quote.bid_size)),
        (dim, i.format_price(quote.bid) if quote.bid else '–'),
        (dim, i.format_price(quote.ask) if quote.ask else '–'),
        (dim, i.format_size(quote.ask_size)),
        (dim, i.format_price(quote.ask - quote.bid) if both else '–'),
        (dim, f'{quote.volume:,.2f}'),
        (dim if age_s < 10 else 'faint', f'{age_s:.0f}s'),
        ('up' if live else 'warn', watched.state),
    ))


def order_rows(
    ems: EmsClient, quotes: Quotes, everything: bool
) -> list[Row]:
    """Open orders, oldest first; with ``everything`` then those over."""
    views = sorted(ems.dialogs.values(), key=lambda view: view.made_ns)
    shown = [view for view in views if not view.status.final]
    if everything:
        shown += [view for view in views if view.status.final][-_MOST:]
    return [_order_row(view, quotes) for view in shown]


def _order_row(view: DialogView, quotes: Quotes) -> Row:
    r = view.request
    watched = quotes[r.symbol]
    i = watched.instrument if watched else None
    dim = 'faint' if view.status.final else ''
    status = state_text(view)
    attr = dim
    if view.status in _BAD:
        attr = 'error'
    elif view.in_doubt or view.cancelling or view.changing:
        attr = dim or 'warn'
    elif view.status is OrderStatus.OPEN:
        attr = 'up'
    elif view.status in _WAITING:
        attr = 'label'
    trigger = f'±{amount(r.trail)}' if r.trail else _price(i, r.stop)
    return Row((r.account, r.oid), (
        (dim, r.oid), (dim, r.account), (dim, r.symbol),
        _side(r.side) if not dim else (dim, r.side.value),
        (dim, _TYPES.get(r.type, r.type.value)), (dim, amount(r.size)),
        (dim, _price(i, r.price)),
        (dim, trigger), (dim, amount(view.filled)),
        (dim, _price(i, view.average) if view.filled else ''),
        (attr, status), (dim, _clock(view.made_ns)), (dim, view.client),
        (dim, note_text(view)),
    ))


def position_rows(
    ems: EmsClient, quotes: Quotes
) -> tuple[list[Row], str]:
    """Open positions at the market as it is now, and what they come to."""
    rows = []
    nets: dict[str, Decimal] = {}
    for _, position in sorted(ems.positions.items()):
        watched = quotes[position.symbol]
        i = watched.instrument if watched else None
        mark, stale = _mark(position, watched)
        unrealised = position.size * (mark - position.average)
        net = unrealised + position.realised - position.fees_quote
        if i is not None:
            quote = i.quote.lower()
            nets[quote] = nets.get(quote, Decimal(0)) + net
        if not position.size:
            continue
        rows.append(Row((position.account, position.symbol), (
            ('', position.account), ('', position.symbol),
            ('buy' if position.size > 0 else 'sell', amount(position.size)),
            ('', _price(i, _rounded(i, position.average))),
            ('faint' if stale else '', _price(i, mark)),
            _profit(unrealised), _profit(position.realised),
            ('', money(position.fees_quote)), _profit(net),
            ('warn', 'stale') if stale else ('', ''),
        )))
    note = '  '.join(
        f'net {net:+,.2f} {quote}' for quote, net in sorted(nets.items())
    )
    return rows, note


def _mark(
    position: PositionView, watched: Watched | None
) -> tuple[Decimal, bool]:
    last = watched.last() if watched else None
    if last is not None:
        return last, False
    return position.mark or position.average, True


def _rounded(i: Instrument | None, price: Decimal) -> Decimal:
    return price if i is None else i.round_price(price)


def _profit(value: Decimal) -> Cell:
    attr = 'up' if value > 0 else 'down' if value < 0 else ''
    return attr, money(value)


def fill_rows(fills: Collection[Fill], quotes: Quotes) -> list[Row]:
    rows = []
    for fill in list(fills)[-_MOST:]:
        watched = quotes[fill.symbol]
        i = watched.instrument if watched else None
        rows.append(Row((fill.account, fill.symbol, fill.trade_id), (
            ('', _clock(fill.time_ns)), ('', fill.account),
            ('', fill.symbol), _side(fill.side), ('', amount(fill.size)),
            ('', _price(i, fill.price)), ('', amount(fill.fee)),
            ('', fill.fee_asset.lower()),
            ('', 'maker' if fill.maker else 'taker'), ('', fill.oid),
        )))
    return rows


def alert_rows(ems: EmsClient, quotes: Quotes) -> list[Row]:
    """Those that wait, then those that have gone off."""
    alerts = sorted(ems.alerts.values(), key=lambda a: (
        bool(a.fired_ns), a.symbol, a.price,
    ))
    return [_alert_row(alert, quotes) for alert in alerts[-_MOST:]]


def _alert_row(alert: Alert, quotes: Quotes) -> Row:
    watched = quotes[alert.symbol]
    i = watched.instrument if watched else None
    last = watched.last() if watched else None
    away: Cell = ('', '')
    if alert.fired_ns:
        away = ('warn', f'fired {_clock(alert.fired_ns)}')
    elif last:
        away = ('', f'{(alert.price - last) / last:+.2%}')
    return Row((alert.aid,), (
        ('', alert.symbol), ('', alert.side.value),
        ('', _price(i, alert.price)), away, ('', alert.note),
    ))


def balance_rows(ems: EmsClient) -> list[Row]:
    rows = []
    for name, view in sorted(ems.accounts.items()):
        state: Cell = ('up', 'ready') if view.ready else ('faint', 'idle')
        if view.halted:
            state = ('warn', 'halted')
        for asset, balance in sorted(view.balances.items()):
            if balance.total:
                rows.append(Row((name, asset), (
                    ('', name), ('', asset), ('', amount(balance.free)),
                    ('', amount(balance.locked)), ('', amount(balance.total)),
                    state,
                )))
    return rows


def log_rows(lines: Iterable[LogLine]) -> list[Row]:
    return [
        Row((str(line.number),), (
            ('label', _clock(line.time_ns)), (line.attr, line.text),
        ))
        for line in lines
    ]
