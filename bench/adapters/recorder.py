"""
What every adapter uses to note what its library called it back with.

Standard library only: it runs in the libraries' own environments.  The
adapter prints ``ready``; the parent says on stdin how many messages were
sent; when so many came, or none for a while, all is written to a file and
the process ends.
"""
import array
import json
import os
import sys
import threading
import time
from pathlib import Path

_IDLE_S = 3.0


class Recorder:
    """
    Call `trade` and `book` from the library's callbacks.

    With an id each, or without where the library keeps none: then they are
    taken to be in the order sent.
    """

    def __init__(self, path):
        self._path = path
        self.trade_ids = []
        self.trade_times = []
        self.book_ids = []
        self.book_times = []

    def trade(self, id_):
        self.trade_ids.append(id_)
        self.trade_times.append(time.monotonic_ns())

    def book(self, id_=-1):
        self.book_ids.append(id_)
        self.book_times.append(time.monotonic_ns())

    def start(self):
        """Serve the parent from a thread."""
        threading.Thread(target=self._serve, daemon=True).start()

    def ready(self, **what):
        print(json.dumps({'ready': True, **what}), flush=True)

    def _count(self):
        return len(self.trade_times) + len(self.book_times)

    def _serve(self):
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        expected = json.loads(line)['expect']
        seen, since = -1, time.monotonic()
        while seen < expected and time.monotonic() - since < _IDLE_S:
            now = self._count()
            if now != seen:
                seen, since = now, time.monotonic()
            time.sleep(0.02)
        columns = (
            self.trade_ids, self.trade_times, self.book_ids, self.book_times
        )
        with Path(self._path).open('wb') as out:
            for column in columns:
                values = array.array('q', [int(value) for value in column])
                array.array('q', [len(values)]).tofile(out)
                values.tofile(out)
        print(json.dumps({'finished': seen}), flush=True)
        # The parent takes the CPU time before it lets us go.
        sys.stdin.readline()
        os._exit(0)
