"""Sizes that a network can have."""

from kantor.core.errors import ConfigError


def at_least(least: int, network: str, **sizes: int) -> None:
    """Refuse sizes below the least.

    Raises:
        ConfigError: names the option and the least.
    """
    for name, size in sizes.items():
        if size < least:
            raise ConfigError(f"{network}@{name}={size}: {name} is at least {least}.")
