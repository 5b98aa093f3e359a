"""
nautilus_trader 1.x: a `TradingNode` with the Binance data client and an
`Actor` that subscribes trade ticks and quote ticks.

Quote ticks keep no update id: they are taken to be in the order sent.
"""
import sys

from nautilus_trader import __version__
from nautilus_trader.adapters.binance import (
    BinanceDataClientConfig,
    BinanceLiveDataClientFactory,
)
from nautilus_trader.common.actor import Actor
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LoggingConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.identifiers import InstrumentId
from recorder import Recorder

INSTRUMENT = InstrumentId.from_str('BTCUSDT.BINANCE')


class Consumer(Actor):
    def __init__(self, recorder):
        super().__init__()
        self.recorder = recorder

    def on_start(self):
        self.subscribe_trade_ticks(INSTRUMENT)
        self.subscribe_quote_ticks(INSTRUMENT)
        self.recorder.ready(version=__version__)

    def on_trade_tick(self, tick):
        self.recorder.trade(tick.trade_id.value)

    def on_quote_tick(self, tick):
        self.recorder.book()


def main(url, path):
    recorder = Recorder(path)
    node = TradingNode(config=TradingNodeConfig(
        logging=LoggingConfig(log_level='ERROR'),
        data_clients={'BINANCE': BinanceDataClientConfig(
            base_url_http=url,
            base_url_ws=url.replace('http', 'ws', 1),
            instrument_provider=InstrumentProviderConfig(
                load_ids=frozenset({INSTRUMENT})
            ),
        )},
    ))
    node.add_data_client_factory('BINANCE', BinanceLiveDataClientFactory)
    node.trader.add_actor(Consumer(recorder))
    node.build()
    recorder.start()
    node.run()


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2])
