"""Pods as Kubernetes describes them: what is asked for, and what an answer means. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from funcx_core.errors import ConfigError

NAME: Final = "funcx-worker"
BLOCK_LABEL: Final = "funcx-block"
DELETED: Final = "The pod was deleted."
_LONGEST_NAME: Final = 63
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_FACTORS: Final = {
    None: 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
_HOPELESS: Final = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Why a container waits that will wait for ever unless somebody mends something. (ErrImagePull is tried again at first.)"""


class PodSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What all pods of a provider have in common; the names are those of `KubernetesProvider`."""

    init_cpu: float
    init_mem: str
    max_cpu: float
    max_mem: str
    worker_init: str = ""
    user_id: str | None = None
    group_id: str | None = None
    run_as_non_root: bool = False
    secret: str | None = None
    persistent_volumes: Sequence[tuple[str, str]] = ()
    service_account_name: str | None = None
    annotations: Mapping[str, str] | None = None
    extra_requests: Mapping[str, str] | None = None
    extra_limits: Mapping[str, str] | None = None


class PodReport(msgspec.Struct, frozen=True):
    """How a pod is: `state` is the name of one of Parsl's job states. `is_hopeless`: it waits for ever unless it is deleted."""

    state: str
    message: str | None = None
    exit_code: int | None = None
    is_hopeless: bool = False


def manifest(name: str, block: str, image: str, command: str, settings: PodSettings) -> dict[str, Any]:
    """Return the pod to ask for."""
    container: dict[str, Any] = {
        "name": NAME,
        "image": image,
        "command": ["/bin/bash"],
        "args": ["-c", command],
        "resources": {
            "requests": {
                "cpu": f"{settings.init_cpu:g}",
                "memory": settings.init_mem,
                **(settings.extra_requests or {}),
            },
            "limits": {"cpu": f"{settings.max_cpu:g}", "memory": settings.max_mem, **(settings.extra_limits or {})},
        },
    }
    if security := _security(settings):
        container["securityContext"] = security
    spec: dict[str, Any] = {"containers": [container], "restartPolicy": "Never"}
    if settings.persistent_volumes:
        volumes = [(f"volume-{number}", *volume) for number, volume in enumerate(settings.persistent_volumes)]
        container["volumeMounts"] = [{"name": volume, "mountPath": path} for volume, _, path in volumes]
        spec["volumes"] = [
            {"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim, _ in volumes
        ]
    if settings.secret:
        spec["imagePullSecrets"] = [{"name": settings.secret}]
    if settings.service_account_name:
        spec["serviceAccountName"] = settings.service_account_name
    metadata: dict[str, Any] = {"name": name, "labels": {"app": NAME, BLOCK_LABEL: block}}
    if settings.annotations:
        metadata["annotations"] = dict(settings.annotations)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _security(settings: PodSettings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if settings.user_id is not None:
        found["runAsUser"] = int(settings.user_id)
    if settings.group_id is not None:
        found["runAsGroup"] = int(settings.group_id)
    if settings.run_as_non_root:
        found["runAsNonRoot"] = True
    return found


def judge(pod: Mapping[str, Any] | None) -> PodReport:
    """Return how a pod is, from its description; None if there is no such pod."""
    if pod is None:
        return PodReport("CANCELLED", DELETED)
    status = pod.get("status") or {}
    phase, states = status.get("phase"), [one.get("state") or {} for one in status.get("containerStatuses") or ()]
    ended: Mapping[str, Any] = next((state["terminated"] for state in states if state.get("terminated")), {})
    words = _words(ended) or _words(status)
    if phase == "Succeeded":
        return PodReport("COMPLETED", words, ended.get("exitCode"))
    if phase == "Failed":
        return PodReport("FAILED", words, ended.get("exitCode"))
    waiting: Mapping[str, Any] = next((state["waiting"] for state in states if state.get("waiting")), {})
    if waiting.get("reason") in _HOPELESS:
        return PodReport("FAILED", _words(waiting), is_hopeless=True)
    if phase == "Running":
        return PodReport("RUNNING")
    return PodReport("PENDING", _words(waiting) or _unscheduled(status))


def together(reports: Sequence[PodReport]) -> PodReport:
    """Return how a block is that has these pods: it runs when all do, and has ended with the first that failed, or the last."""
    for state in ("FAILED", "CANCELLED", "PENDING", "RUNNING"):
        found = next((report for report in reports if report.state == state), None)
        if found is not None:
            return found
    return reports[0]


def _words(reason: Mapping[str, Any]) -> str | None:
    said = [str(reason[key]) for key in ("reason", "message") if reason.get(key)]
    return ": ".join(said) or None


def _unscheduled(status: Mapping[str, Any]) -> str | None:
    conditions = [one for one in status.get("conditions") or () if one.get("type") == "PodScheduled"]
    return next((_words(one) for one in conditions if one.get("status") == "False"), None)


def quantity(text: str, what: str) -> float:
    """Return an amount such as ``500Mi`` as a number.

    Raises:
        ConfigError: it is not one.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ConfigError(f"{what} is {text!r}; an amount such as '500Mi' or '2Gi' is needed.")
    return float(match.group(1)) * _FACTORS[match.group(2)]


def check_name(name: str, what: str, *, longest: int = _LONGEST_NAME) -> str:
    """Return a name that Kubernetes takes.

    Raises:
        ConfigError: it does not take this one.
    """
    if len(name) > longest or _NAME.fullmatch(name) is None:
        raise ConfigError(f"{what} is {name!r}; at most {longest} lower-case letters, digits and '-' are allowed.")
    return name
