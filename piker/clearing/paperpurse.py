"""
What a paper account has, and what fills make of it.
"""
from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from ..config import PaperSettings
from ..gateway import FillReport
from ..orders import Balance, OrderSide
from .paperorders import PaperOrder

__all__ = ['Purse']

_ZERO = Decimal(0)
# Binance states fees to eight decimals.
_FEE_STEP = Decimal('1e-8')


class Purse:
    """
    The balances of an account.

    ``balances`` are those it begins with, ``None`` for what the settings
    say; ``last_trade`` is the last trade number given out.  ``moved`` are the
    assets whose balance has changed, for whoever keeps them to clear.
    """

    def __init__(
        self,
        settings: PaperSettings,
        balances: dict[str, Balance] | None,
        last_trade: int,
    ) -> None:
        self._settings = settings
        self._last_trade = last_trade
        self.balances = dict(balances or {})
        self.moved: dict[str, None] = {}
        if balances is None:
            for asset, amount in settings.balances.items():
                self._move(asset.lower(), amount)

    def balance(self, asset: str) -> Balance:
        return self.balances.get(asset, Balance(_ZERO))

    def hold(self, order: PaperOrder) -> None:
        """Lock what an order needs that has become open."""
        asset, held = order.held
        self._move(asset, -held, held)

    def free(self, order: PaperOrder) -> None:
        """Unlock what is left of that."""
        asset, held = order.held
        if held:
            self._move(asset, held, -held)

    def fill(
        self, order: PaperOrder, price: Decimal, size: Decimal,
        maker: bool, time_ns: int,
    ) -> FillReport:
        """Deal so much of an open order."""
        placed, base, quote = order.placed, order.base, order.quote
        rate = (
            self._settings.maker_fee if maker else self._settings.taker_fee
        )
        notional = price * size
        if placed.side is OrderSide.BUY:
            held = size * (placed.price or _ZERO)
            fee, asset = _fee(size * rate), base
            self._move(quote, held - notional, -held)
            self._move(base, size - fee)
        else:
            fee, asset = _fee(notional * rate), quote
            self._move(base, _ZERO, -size)
            self._move(quote, notional - fee)
        order.filled += size
        order.changed_ns = max(order.changed_ns, time_ns)
        self._last_trade += 1
        return FillReport(
            cid=placed.cid, venue_id=order.venue_id, symbol=placed.symbol,
            side=placed.side, trade_id=str(self._last_trade), price=price,
            size=size, fee=fee, fee_asset=asset, maker=maker,
            time_ns=time_ns,
        )

    def _move(
        self, asset: str, free: Decimal, locked: Decimal = _ZERO
    ) -> None:
        before = self.balance(asset)
        self.balances[asset] = Balance(
            before.free + free, before.locked + locked
        )
        self.moved[asset] = None


def _fee(amount: Decimal) -> Decimal:
    return amount.quantize(_FEE_STEP, ROUND_HALF_UP)
