"""What a pod runs."""

from __future__ import annotations

from typing import Final

template_string: Final = """{worker_init}
exec {command}
"""
"""`exec` because the shell is the pod's first process: it would keep the SIGTERM that announces the pod's end from the manager."""
