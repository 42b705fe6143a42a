"""TLS of the HTTP side: certificate and key from files, renewed without a restart."""

from __future__ import annotations

import ssl

from funcx_core.errors import ConfigError
from funcx_core.service.config import ListenConfig


def tls_context(config: ListenConfig) -> ssl.SSLContext | None:
    """Return what new connections are opened with; None if there is no certificate.

    Raises:
        ConfigError: the files cannot be used, or do not belong together.
    """
    if config.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, config)
    return context


def load_certificate(context: ssl.SSLContext, config: ListenConfig) -> None:
    """Let connections that are opened from now on use what is in the files now.

    Raises:
        ConfigError: the files cannot be used, or do not belong together.
    """
    if config.certificate is None:
        return
    try:
        context.load_cert_chain(config.certificate, config.key, password=_no_password)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise ConfigError(
            f"{config.certificate} and {config.key} are not a certificate and its key in PEM ({reason}). "
            "Correct listen.certificate and listen.key."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The certificate cannot be read: {error.strerror} ({config.certificate} or {config.key}). "
            "Correct listen.certificate and listen.key."
        ) from None


def _no_password() -> str:
    raise ConfigError(
        "The private key of the service is encrypted; use one without a passphrase, readable by you only."
    )
