"""
What a crash leaves in a local table, and how it is mended.

A killed process leaves at worst files that no commit names: commits are put
in place by one atomic rename.  They are ignored by readers and swept later.
A machine that loses power may besides lose the end of what it wrote last: a
log entry that is cut off, or a data file that is shorter than its entry says.
Such an entry is moved aside (``.torn``), such a file is taken out of the
table; what they held is a gap, which the next start or ``piker store fill``
asks the venue for.  An object store has none of this: a put is whole or not
there.

Source: the Delta Lake transaction log protocol, "Delta Log Entries".
"""
from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

from .layout import DataFile

__all__ = ['force_to_disk', 'mend_log', 'sweep', 'torn_files']

log = logging.getLogger(__name__)

_LOG = '_delta_log'


def mend_log(table: Path) -> bool:
    """
    Move the newest log entry aside if it is cut off; whether it was.
    """
    entries = sorted((table / _LOG).glob('[0-9]*.json'))
    if not entries or _is_whole(entries[-1]):
        return False
    torn = entries[-1]
    torn.replace(torn.with_suffix('.json.torn'))
    log.warning(
        '%s: the last log entry was cut off by a crash; moved it aside', torn
    )
    return True


def _is_whole(entry: Path) -> bool:
    try:
        lines = entry.read_text(encoding='utf-8').splitlines()
        return bool(lines) and all(
            isinstance(json.loads(line), dict) for line in lines
        )
    except ValueError:
        return False


def torn_files(table: Path, files: Iterable[DataFile]) -> list[str]:
    """
    Names of data files that are not as long as the log says, or gone.

    Those that are there are moved aside, so that they read as gone.
    """
    found = []
    for file in files:
        path = table / file.path
        try:
            if path.stat().st_size == file.size:
                continue
            path.replace(path.with_name(path.name + '.torn'))
        except FileNotFoundError:
            pass
        found.append(file.path)
    return found


def sweep(table: Path, older_than_s: float) -> list[str]:
    """
    Delete a crash's temporary files that vacuum does not know.

    Only those last touched more than ``older_than_s`` ago, since a younger
    one may be in the making.
    """
    limit = time.time() - older_than_s
    swept = []
    patterns = (
        (table, '*.parquet#*'),
        (table, '*.torn'),
        (table / _LOG, '*.tmp'),
        (table / _LOG, '*.torn'),
        (table / _LOG, '*.json#*'),
        (table / _LOG, '*.parquet#*'),
    )
    for folder, pattern in patterns:
        for path in folder.glob(pattern):
            try:
                if path.stat().st_mtime < limit:
                    path.unlink()
                    swept.append(path.name)
            except FileNotFoundError:
                continue
    return swept


def force_to_disk(table: Path, files: Iterable[DataFile]) -> None:
    """
    Make these files and the log outlive a loss of power (fsync).

    For before others are deleted, whose rows may be nowhere else: a commit by
    itself is left to the system, see docs/storage.rst.
    """
    log_dir = table / _LOG
    entries = [e for e in log_dir.iterdir() if e.is_file()]
    whole = [table / file.path for file in files]
    for path in (*whole, *entries, log_dir, table):
        try:
            opened = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            # A log entry that somebody has cleaned up, or a torn file.
            continue
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
