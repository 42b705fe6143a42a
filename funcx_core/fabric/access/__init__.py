"""``funcx token``, ``funcx login`` and ``funcx logout``: who may use a service, and as whom one uses it."""
