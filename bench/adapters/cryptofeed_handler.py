"""
cryptofeed: a `FeedHandler` with callbacks for ``TRADES`` and ``TICKER``.

The library refuses plain ``ws://`` addresses; its check is passed by with
the address set afterwards, which spares it the cost of TLS.
"""
import sys
from importlib.metadata import version

import cryptofeed.feed
from cryptofeed import FeedHandler, connection
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import TICKER, TRADES
from cryptofeed.exchanges import Binance
from recorder import Recorder


class Plain(connection.WSAsyncConn):
    def __init__(self, address, *args, **options):
        super().__init__(
            'wss://' + address.partition('://')[2], *args, **options
        )
        self.address = address


def main(url, path):
    recorder = Recorder(path)
    cryptofeed.feed.WSAsyncConn = Plain
    Binance.rest_endpoints = [
        RestEndpoint(url, routes=Routes('/api/v3/exchangeInfo'))
    ]
    Binance.websocket_endpoints = [
        WebsocketEndpoint(url.replace('http', 'ws', 1))
    ]

    async def trade(data, receipt):
        recorder.trade(int(data.id))

    async def ticker(data, receipt):
        recorder.book(int(data.raw['u']))

    handler = FeedHandler(config={'log': {'filename': '/dev/null',
                                          'level': 'ERROR'}})
    handler.add_feed(Binance(
        symbols=['BTC-USDT'], channels=[TRADES, TICKER],
        callbacks={TRADES: trade, TICKER: ticker},
    ))
    recorder.start()
    recorder.ready(version=version('cryptofeed'))
    handler.run(install_signal_handlers=False)


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2])
