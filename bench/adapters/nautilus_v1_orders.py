"""
nautilus_trader 1.x: a `TradingNode` with the Binance data and execution
clients and a `Strategy` that submits a market order on a trade tick.

It waits a little after each order, as the client of piker does.
"""
import json
import os
import sys
import threading
import time

from nautilus_trader import __version__
from nautilus_trader.adapters.binance import (
    BinanceDataClientConfig,
    BinanceExecClientConfig,
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LiveExecEngineConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.trading.strategy import Strategy

INSTRUMENT = InstrumentId.from_str('BTCUSDT.BINANCE')
APART_NS = 30_000_000
orders = []


class OnTrade(Strategy):
    def on_start(self):
        self.instrument = self.cache.instrument(INSTRUMENT)
        self.next_ns = 0
        self.subscribe_trade_ticks(INSTRUMENT)
        self.subscribe_quote_ticks(INSTRUMENT)
        print(json.dumps({'ready': True, 'version': __version__}), flush=True)

    def on_trade_tick(self, tick):
        now = time.monotonic_ns()
        if now < self.next_ns:
            return
        self.next_ns = now + APART_NS
        size = f'{(1000 + len(orders)) / 100_000:.5f}'
        side = OrderSide.SELL if len(orders) % 2 else OrderSide.BUY
        self.submit_order(self.order_factory.market(
            INSTRUMENT, side, self.instrument.make_qty(size)
        ))
        orders.append((size, int(tick.trade_id.value)))


def serve():
    sys.stdin.readline()
    print(json.dumps({'ordered': orders}), flush=True)
    sys.stdin.readline()
    os._exit(0)


def main(url):
    where = {
        'api_key': 'key', 'api_secret': 'secret', 'base_url_http': url,
        'instrument_provider': InstrumentProviderConfig(
            load_ids=frozenset({INSTRUMENT})
        ),
    }
    websocket = url.replace('http', 'ws', 1)
    node = TradingNode(config=TradingNodeConfig(
        logging=LoggingConfig(log_level='ERROR'),
        exec_engine=LiveExecEngineConfig(
            reconciliation=False, inflight_check_interval_ms=0,
        ),
        data_clients={'BINANCE': BinanceDataClientConfig(
            base_url_ws=websocket, **where
        )},
        exec_clients={'BINANCE': BinanceExecClientConfig(
            base_url_ws=f'{websocket}/ws/api', **where
        )},
    ))
    node.add_data_client_factory('BINANCE', BinanceLiveDataClientFactory)
    node.add_exec_client_factory('BINANCE', BinanceLiveExecClientFactory)
    node.trader.add_strategy(OnTrade())
    node.build()
    threading.Thread(target=serve, daemon=True).start()
    node.run()


if __name__ == '__main__':
    main(sys.argv[1])
