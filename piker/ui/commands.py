"""
Named commands, and the keys bound to them.

Whatever a key, a button or another part of the program does to the window, it
does by running a command by name; help is a listing of this registry, so it
cannot fall behind.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..errors import BadInput, did_you_mean

__all__ = ['Command', 'Commands']


@dataclass(frozen=True, slots=True)
class Command:
    """``name`` reads ``group.action``; ``help`` is one line."""

    name: str
    help: str
    run: Callable[[], object] = field(compare=False)
    keys: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.name.partition('.')[0]


class Commands:
    """The registry: commands by name, and names by key."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}
        self._keys: dict[str, str] = {}

    def add(
        self, name: str, help_: str, run: Callable[[], object], *keys: str
    ) -> None:
        """
        Register a command under keys as Qt writes them (``Ctrl+Q``).

        Raises `ValueError` if the name or a key is taken.
        """
        if name in self._commands:
            raise ValueError(f'there is a command {name!r} already')
        for key in keys:
            if key in self._keys:
                raise ValueError(
                    f'{key} runs {self._keys[key]!r} already, not {name!r}'
                )
        self._commands[name] = Command(name, help_, run, keys)
        self._keys.update(dict.fromkeys(keys, name))

    def run(self, name: str) -> None:
        """Run a command; an unknown name raises `BadInput`."""
        command = self._commands.get(name)
        if command is None:
            raise BadInput(
                f'there is no command {name!r}.'
                f'{did_you_mean(name, self._commands)}'
            )
        command.run()

    def press(self, key: str) -> bool:
        """Run what ``key`` is bound to; whether it is bound at all."""
        name = self._keys.get(key)
        if name is None:
            return False
        self.run(name)
        return True

    @property
    def keys(self) -> dict[str, str]:
        """Command names by key."""
        return dict(self._keys)

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())

    def __getitem__(self, name: str) -> Command:
        return self._commands[name]

    def __len__(self) -> int:
        return len(self._commands)

    def groups(self) -> dict[str, list[Command]]:
        """Commands by group, both in the order of registration."""
        found: dict[str, list[Command]] = {}
        for command in self:
            found.setdefault(command.group, []).append(command)
        return found
