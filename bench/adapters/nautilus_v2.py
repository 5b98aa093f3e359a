"""
nautilus_trader 2.x (Rust core): a `LiveNode` with the Binance data client in
its JSON mode and a `DataActor` that subscribes trades and quotes.

Quotes keep no update id: they are taken to be in the order sent.
"""
import sys
from importlib.metadata import version

from nautilus_trader.adapters.binance import (
    BinanceDataClientConfig,
    BinanceDataClientFactory,
    BinanceProductType,
    BinanceSpotMarketDataMode,
)
from nautilus_trader.common import (
    DataActor,
    Environment,
    LoggerConfig,
    LogLevel,
)
from nautilus_trader.live import LiveNode
from nautilus_trader.model import InstrumentId, TraderId
from recorder import Recorder

INSTRUMENT = InstrumentId.from_str('BTCUSDT.BINANCE')
recorder = Recorder(sys.argv[2])


class Consumer(DataActor):
    def on_start(self):
        self.subscribe_trades(INSTRUMENT)
        self.subscribe_quotes(INSTRUMENT)
        recorder.ready(version=version('nautilus_trader'))

    def on_trade(self, trade):
        recorder.trade(trade.trade_id.value)

    def on_quote(self, quote):
        recorder.book()


def main(url):
    node = (
        LiveNode.builder('BENCH', TraderId('BENCH-001'), Environment.LIVE)
        .with_timeout_connection(10)
        .with_logging(LoggerConfig(stdout_level=LogLevel.ERROR))
        .add_data_client(
            None,
            BinanceDataClientFactory(),
            BinanceDataClientConfig(
                product_type=BinanceProductType.SPOT,
                spot_market_data_mode=BinanceSpotMarketDataMode.Json,
                base_url_http=url,
                base_url_ws=url.replace('http', 'ws', 1) + '/ws',
            ),
        )
        .build()
    )
    node.add_actor(Consumer())
    recorder.start()
    node.run()


if __name__ == '__main__':
    main(sys.argv[1])
