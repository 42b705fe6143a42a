"""Settings as traits of the magics: for `%config FuncxMagics.timeout = 60` and ``ipython_config.py``."""

from __future__ import annotations

from typing import Any

from traitlets import TraitError, TraitType

from funcx_core.errors import ConfigError
from funcx_jupyter.settings.keys import SETTINGS, Setting, convert


class SettingTrait(TraitType):  # type: ignore[misc]
    """A setting, as it is written in files; None if it is not set."""

    default_value = None
    allow_none = True

    def __init__(self, setting: Setting) -> None:
        super().__init__(default_value=None, allow_none=True, help=setting.meaning)
        self.info_text = f"what `%%funcx --{setting.name.replace('_', '-')}` takes"
        self._setting = setting
        self.tag(config=True)

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the value if the option could have it; empty text is none."""
        del obj
        if value in {"", None}:
            return None
        try:
            convert(self._setting.name, value, "%config FuncxMagics")
        except ConfigError as error:
            raise TraitError(str(error)) from None
        return value

    def from_string(self, text: str) -> Any:
        """Return what a command line says."""
        return text


def traits() -> dict[str, SettingTrait]:
    """Return a trait for every setting."""
    return {name: SettingTrait(setting) for name, setting in SETTINGS.items()}
