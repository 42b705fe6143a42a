"""Makes the authenticator that the settings describe."""

from __future__ import annotations

from funcx_core.service.auth.base import Provider
from funcx_core.service.auth.chain import Chain
from funcx_core.service.auth.config import AuthConfig
from funcx_core.service.auth.local import LocalTokens
from funcx_core.service.store.base import Store


def authenticator_of(config: AuthConfig, tokens: LocalTokens, store: Store) -> Chain:
    """Return what knows the tokens of this service and of every provider in `config`; `close` it in the end. Raises as `providers_of`."""
    return Chain(tokens, providers_of(config, store), remember_seconds=config.remember_seconds)


def providers_of(config: AuthConfig, store: Store) -> list[Provider]:
    """Return those who know the tokens of others.

    Raises:
        ConfigError: a secret cannot be read.
    """
    providers: list[Provider] = []
    if config.jupyterhub is not None:
        from funcx_core.service.auth.jupyterhub import JupyterHub  # noqa: PLC0415 - only who uses it pays for it

        providers.append(JupyterHub(config.jupyterhub, store.accounts))
    if config.globus is not None:
        from funcx_core.service.auth.globus import GlobusAuth  # noqa: PLC0415 - only who uses it pays for it

        providers.append(GlobusAuth(config.globus, store.accounts))
    return providers
