"""
The process that wakes those who sleep on a ring when they are many.

To wake a task costs whoever does it a microsecond or two, so a writer with
many sleeping readers has this done elsewhere: one write to a pipe, and the
rest is this process's time.  Not a thread's, which could not go on before
the writer lets go of the interpreter, up to 5 ms later.

Run as a script, ``relay.py``, with a Unix socket as its standard input; it
uses nothing but the standard library, so that it starts at once and stays
small.  Each message on the socket hands over a ring: the reading end of a
pipe and an eventfd, to be written to whenever something comes through the
pipe, until its other end is closed.  Ends when the socket does, and with it
when the daemon dies in whichever way.
Source: epoll(7), sched(7).
"""
from __future__ import annotations

import os
import select
import socket

__all__ = ['relay']

_MOST = 1 << 16


def relay(control: socket.socket) -> None:
    """Forward wake-ups until the other side of ``control`` is closed."""
    ready = select.epoll()
    ready.register(control, select.EPOLLIN)
    bells: dict[int, int] = {}
    control.send(b'\0')
    while True:
        for fd, events in ready.poll():
            if fd == control.fileno():
                message, fds, _, _ = socket.recv_fds(control, 1, 2)
                if not message:
                    return
                pipe, bell = fds
                bells[pipe] = bell
                ready.register(pipe, select.EPOLLIN)
            elif events & select.EPOLLIN:
                # However many there were: one edge is enough for all.
                os.read(fd, _MOST)
                os.eventfd_write(bells[fd], 1)
            else:
                ready.unregister(fd)
                os.close(fd)
                os.close(bells.pop(fd))


if __name__ == '__main__':
    # Where no core is free it waits rather than push the writer off its own.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    relay(socket.socket(fileno=0))
