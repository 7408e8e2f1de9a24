"""Whose a run's folder is."""

from pathlib import Path

from kantor.core.errors import ConfigError, KantorError
from kantor.core.files import is_partial, refuse_file, write_json, write_text
from kantor.core.locks import locked
from kantor.results.files import TIMING
from kantor.study.resume.fingerprints import begin, renew, settings_of
from kantor.study.resume.folder import BEFORE_WORK, environment
from kantor.study.settings.study import WITHOUT_EFFECT, Study


def claim(config: Study) -> Path:
    """Make the run's folder, or go on in it if it holds a run of the same settings.

    One that ended before it had done anything, for want of a file or by a misspelt class, holds nothing but its
    settings, and makes way for others.

    Raises:
        ConfigError: it holds another run, or other files; what differs is named, and nothing is touched.
        KantorError: it cannot be written.
    """
    folder = config.folder()
    refuse_file(folder)
    if (folder / "config.yaml").exists():
        try:
            held = settings_of(folder)
        except KantorError:
            if begun(folder):
                raise
            held = None
        if held is not None and begun(folder):
            if held.digest() == config.digest():
                renew(folder, held)
                return folder
            differing = [k for k, v in vars(config).items() if k not in WITHOUT_EFFECT and getattr(held, k) != v]
            raise ConfigError(
                f"{folder} already holds another run (it differs in {', '.join(differing)}). "
                "Give another --out; nothing was changed."
            )
    elif begun(folder):
        raise ConfigError(f"{folder} holds files that are no run. Give another --out; nothing was changed.")
    with locked(folder, patience=0.0):
        (folder / TIMING).unlink(missing_ok=True)
        # The settings are what makes it a run: they come last, so that a run has all that it began with.
        write_json(folder / "environment.json", environment())
        begin(folder, config)
        write_text(folder / "config.yaml", config.to_yaml())
    return folder


def begun(folder: Path) -> bool:
    """Whether a folder holds more than the settings of a run that never came to work."""
    return folder.exists() and not {entry.name for entry in folder.iterdir() if not is_partial(entry)} <= BEFORE_WORK
