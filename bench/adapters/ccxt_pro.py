"""
ccxt.pro: ``watch_trades`` and ``watch_bids_asks``, as its manual shows.

Where several updates come between two turns of the loop, trades are handed
over together and of bids and asks only the last: that is how it works.
"""
import asyncio
import sys

import ccxt
import ccxt.pro
from recorder import Recorder


async def main(url, path):
    recorder = Recorder(path)
    exchange = ccxt.pro.binance({
        'options': {'fetchMarkets': {'types': ['spot']},
                    'defaultType': 'spot', 'fetchCurrencies': False},
        'newUpdates': True,
        'enableRateLimit': False,
    })
    exchange.has['fetchCurrencies'] = False
    api = exchange.urls['api']
    api['public'] = f'{url}/api/v3'
    api['v3'] = f'{url}/api/v3'
    # It tells spot from futures by '/stream' in the address.
    api['ws']['spot'] = f'{url.replace("http", "ws", 1)}/ws/stream'
    await exchange.load_markets()

    async def trades():
        while True:
            for trade in await exchange.watch_trades('BTC/USDT'):
                recorder.trade(int(trade['id']))

    async def books():
        while True:
            found = await exchange.watch_bids_asks(['BTC/USDT'])
            recorder.book(int(found['BTC/USDT']['info']['u']))

    recorder.start()
    recorder.ready(version=ccxt.__version__)
    await asyncio.gather(trades(), books())


if __name__ == '__main__':
    asyncio.run(main(sys.argv[1], sys.argv[2]))
