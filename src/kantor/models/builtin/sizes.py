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


def text_shape(network: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Tokens at most and vocabulary of a text.

    Raises:
        ConfigError: the samples are no texts.
    """
    if len(shape) != 2:
        raise ConfigError(f"{network} reads texts; the samples are of shape {shape}.")
    return shape[0], shape[1]
