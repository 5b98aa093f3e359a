"""DuckDB loads bars: ``duckdb_bars.py FILE...``; see ``bench/loads.py``."""
import json
import sys
import time

import duckdb

FIELDS = (
    'time', 'open', 'high', 'low', 'close', 'volume', 'vwap', 'trades'
)


def main(files):
    connection = duckdb.connect()
    columns = f'SELECT {", ".join(FIELDS)} FROM read_parquet($files)'
    print(json.dumps({'ready': True}), flush=True)
    for line in sys.stdin:
        start, stop = json.loads(line)['load']
        query, given = f'{columns} ORDER BY time', {'files': files}
        if stop < 1 << 62:
            query = (
                f'{columns} WHERE time >= $start AND time < $stop '
                'ORDER BY time'
            )
            given |= {'start': start, 'stop': stop}
        began = time.perf_counter()
        found = connection.execute(query, given).fetchnumpy()
        loaded_s = time.perf_counter() - began
        sums = [float(found[name].sum()) for name in FIELDS]
        print(json.dumps({
            'loaded_s': loaded_s,
            'read_s': time.perf_counter() - began,
            'rows': len(found['time']),
            'sums': sums,
        }), flush=True)
        del found


if __name__ == '__main__':
    main(sys.argv[1:])
