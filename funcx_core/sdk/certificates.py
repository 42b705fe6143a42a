"""Whether a service that speaks HTTPS is the one it says: what is trusted, and what people read if it is not."""

from __future__ import annotations

import ssl

from funcx_core.errors import ConfigError


def trusted(address: str) -> ssl.SSLContext | None:
    """Return what to connect to `address` with: the system's authorities, or those of SSL_CERT_FILE; None for plain HTTP."""
    return ssl.create_default_context() if address.startswith("https:") else None


def raise_if_untrusted(address: str, error: object) -> None:
    """Raise `ConfigError` if `error` says that the certificate of `address` is not to be trusted: trying again is no use."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return
    raise ConfigError(
        f"The certificate of {address} is not trusted here: {error.verify_message}. If it comes from an authority of your own, "
        "set SSL_CERT_FILE to that authority's certificate; if the name is wrong, use the one that the certificate is for."
    ) from None
