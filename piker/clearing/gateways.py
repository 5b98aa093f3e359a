"""
The gateways of every account: on paper here, live ones in ``brokerd``.

A gateway is opened at the first order of its account, or at the start if the
journal has open orders of it, and opened again when it dies.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
import trio

from ..clock import Clock
from ..config import AccountSettings
from ..errors import (
    ActorDied,
    BadInput,
    BadMessage,
    ConfigError,
    PikerError,
    VenueRefused,
    did_you_mean,
)
from ..gateway import Abilities, Command, GatewayMessage
from ..messages import unpack
from ..service import Pipe, TreeClient, connect_pipe
from .paper import Depth, PaperGateway, no_depth
from .paperstore import PaperStore

__all__ = ['GatewaySink', 'Gateways', 'check_live']

log = logging.getLogger(__name__)

_ENDPOINTS = 'piker.brokers.endpoints'
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# After an error that the same again would only repeat.
_REFUSED_RETRY_S = 30.0
# How long a gateway that ends may take to say why.
_ERROR_WITHIN_S = 1.0

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[list[GatewayMessage]] = (
    msgspec.msgpack.Decoder(list[GatewayMessage])
)


class GatewaySink(Protocol):
    """Who is told; nothing in it may wait."""

    def on_gateway(self, account: str, abilities: Abilities | None) -> None:
        """A gateway is there, or is gone: ``None``."""

    def on_messages(
        self, account: str, messages: list[GatewayMessage]
    ) -> None:
        """What a gateway has said."""

    def on_trouble(self, account: str, text: str) -> None:
        """Why an account's gateway is not to be had; once for each reason."""


def check_live(name: str, account: AccountSettings, sim_url: str) -> bool:
    """
    Whether orders of an account leave this machine.

    Raises `ConfigError` if they would, and no setting allows it.
    """
    if not account.provider:
        return False
    host = urlsplit(sim_url).hostname or '127.0.0.1'
    if account.provider == 'sim' and _is_loopback(host):
        return False
    if account.live:
        return True
    where = account.provider
    if account.provider == 'sim':
        where = f'a venue that is not on this machine ({host})'
    raise ConfigError(
        f'account {name!r} trades at {where}: to allow it, set '
        f'accounts.{name}.live = true in piker.toml and restart pikerd; '
        "account 'paper' needs no such thing"
    )


def _is_loopback(host: str) -> bool:
    if host == 'localhost':
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Remote:
    """The way to a gateway in another process; `send` does not wait."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def send(self, command: Command) -> None:
        self._pipe.send(_encode(command))


class _Account:
    """One account's gateway and its state."""

    def __init__(self, name: str, settings: AccountSettings) -> None:
        self.name = name
        self.settings = settings
        self.gateway: PaperGateway | _Remote | None = None
        self.started = False
        self.error: PikerError | None = None
        self.tried = trio.Event()
        self.again = trio.Event()


class Gateways:
    """
    All accounts' gateways.  Run `run` in a task.

    ``sim_url`` is where the venue of provider ``sim`` is, empty for our own;
    ``depth`` tells paper accounts of the order books.
    """

    def __init__(
        self,
        accounts: Mapping[str, AccountSettings],
        sink: GatewaySink,
        tree: TreeClient,
        store: PaperStore,
        clock: Clock,
        *,
        sim_url: str = '',
        depth: Depth = no_depth,
    ) -> None:
        self._accounts = {n: _Account(n, s) for n, s in accounts.items()}
        self._sink = sink
        self._tree = tree
        self._clock = clock
        self._store = store
        self._sim_url = sim_url
        self._depth = depth
        self._nursery: trio.Nursery | None = None
        self.papers: list[PaperGateway] = []

    async def run(
        self, task_status: Any = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep those gateways that are asked for until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                for paper in self.papers:
                    paper.close()

    def check(self, name: str) -> AccountSettings:
        """
        An account's settings; raises `BadInput` if it may not trade.
        """
        account = self._accounts.get(name)
        if account is None:
            raise BadInput(
                f'there is no account {name!r}.'
                f'{did_you_mean(name, self._accounts)} '
                f'Accounts: {", ".join(sorted(self._accounts))}.'
            )
        check_live(name, account.settings, self._sim_url)
        return account.settings

    def start(self, name: str) -> None:
        """Open an account's gateway, unless it is open; raises as `check`."""
        self.check(name)
        account = self._accounts[name]
        assert self._nursery is not None, 'run it first'
        if account.started:
            account.again.set()
            return
        account.started = True
        keep = self._keep_remote if account.settings.provider else (
            self._keep_paper
        )
        self._nursery.start_soon(keep, account)

    async def opened(self, name: str) -> None:
        """
        Have a gateway opened, and wait until that was tried.

        Raises what kept it from opening, if that will not pass by itself.
        """
        self.start(name)
        account = self._accounts[name]
        if account.gateway is not None:
            return
        if account.error is not None:
            account.tried = trio.Event()
        await account.tried.wait()
        if account.error is not None:
            raise account.error

    def status(self, ready: Callable[[str], bool]) -> dict[str, str]:
        """Of each gateway that was asked for: how it stands."""
        return {
            name: 'down' if account.gateway is None
            else 'ready' if ready(name) else 'reconciling'
            for name, account in self._accounts.items() if account.started
        }

    @property
    def providers(self) -> dict[str, str]:
        """Where each account trades; empty for one on paper."""
        return {n: a.settings.provider for n, a in self._accounts.items()}

    def live(self) -> list[str]:
        """The accounts whose orders leave this machine, by permission."""
        found = []
        for name, account in self._accounts.items():
            try:
                if check_live(name, account.settings, self._sim_url):
                    found.append(name)
            except ConfigError:
                pass
        return found

    def is_open(self, name: str) -> bool:
        account = self._accounts.get(name)
        return account is not None and account.gateway is not None

    def send(self, name: str, command: Command) -> None:
        """
        Hand a command to a gateway; without one it is dropped.

        The core hears of the loss and takes all it had sent for doubtful.
        """
        gateway = self._accounts[name].gateway
        if gateway is not None:
            gateway.send(command)

    async def _keep_paper(self, account: _Account) -> None:
        paper = PaperGateway(
            account.name, account.settings.paper, self._store, self._clock,
            self._depth,
        )
        account.gateway = paper
        self.papers.append(paper)
        self._sink.on_gateway(account.name, paper.abilities)
        account.tried.set()
        while True:
            self._sink.on_messages(account.name, await paper.receive())

    async def _keep_remote(self, account: _Account) -> None:
        failures = 0
        told = ''
        if check_live(account.name, account.settings, self._sim_url):
            log.warning(
                'account %s is LIVE: its orders trade real money at %s',
                account.name, account.settings.provider,
            )
        while True:
            pause = _RETRY_S[min(failures, len(_RETRY_S) - 1)]
            failures += 1
            try:
                async with self._tree.context(
                    await self._tree.find(
                        f'brokerd.{account.settings.provider}'
                    ),
                    _ENDPOINTS, 'open_gateway', account=account.name,
                    settings=account.settings.model_dump(mode='json'),
                ) as (ctx, first):
                    abilities = unpack(Abilities, first['abilities'])
                    with connect_pipe(first['pipe']) as pipe:
                        failures, told, account.error = 0, '', None
                        await self._serve(account, abilities, pipe, ctx)
            except PikerError as err:
                text = str(err)
                account.error = None
                if isinstance(err, BadInput | VenueRefused):
                    account.error = err
                    pause = _REFUSED_RETRY_S
            finally:
                self._lose(account)
            if text != told:
                log.warning('account %s: %s', account.name, text)
                self._sink.on_trouble(account.name, text)
            told = text
            account.tried.set()
            account.again = trio.Event()
            with trio.move_on_after(pause):
                if account.error is None:
                    await trio.sleep_forever()
                await account.again.wait()

    async def _serve(
        self, account: _Account, abilities: Abilities, pipe: Pipe, ctx: Any
    ) -> None:
        """Carry commands and messages until the pipe breaks: `ActorDied`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pipe.run)
            account.gateway = _Remote(pipe)
            self._sink.on_gateway(account.name, abilities)
            account.tried.set()
            try:
                while True:
                    for data in await pipe.receive():
                        self._sink.on_messages(account.name, _read(data))
            except ActorDied:
                self._lose(account)
                # An error over there closes the pipe, and is told as well.
                with trio.move_on_after(_ERROR_WITHIN_S):
                    await ctx.result()
                raise

    def _lose(self, account: _Account) -> None:
        if account.gateway is not None:
            account.gateway = None
            self._sink.on_gateway(account.name, None)


def _read(data: bytes) -> list[GatewayMessage]:
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as err:
        raise BadMessage(f'not what a gateway says: {err}') from err
