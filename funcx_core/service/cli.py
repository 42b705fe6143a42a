"""``funcx-service``: runs the service in the foreground; its commands show its settings and make tokens."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from funcx_core import __version__, logs
from funcx_core.errors import FuncxError
from funcx_core.fail_fast import CRASH_EXIT, end_with_threads
from funcx_core.garbage import pass_over_what_is_there
from funcx_core.home import home, write_private
from funcx_core.service import config_file
from funcx_core.service.app import Service, mint_token
from funcx_core.service.config import ServiceConfig
from funcx_core.transport.loop import run

F = TypeVar("F", bound=Callable[..., Any])

USAGE_EXIT: Final = 2
STOP_SECONDS: Final = 9.5
SWITCH_INTERVAL: Final = 0.0001
"""Seconds that the store's threads wait for the interpreter, for every row they read, while the loop computes. 5 ms is usual."""

_log = logging.getLogger(__name__)

_EPILOG: Final = """\b
Settings:
  A flag counts more than an environment variable, that more than the file, and
  that more than the default. Every key of the file has a variable:
  listen.port is FUNCX_SERVICE__LISTEN__PORT. `funcx-service config --example`
  prints a file that explains all keys; `funcx-service config` what counts now.

\b
Signals:
  SIGTERM, SIGINT  finish the requests under way, tell streams to come back, end
                   within 10 seconds; a second one ends at once
  SIGHUP           read certificate, key and settings again; takes what can change
                   while it runs (certificate, allowed hosts, limits, rates,
                   retention, logs, who may sign in); the log names the rest

\b
Files, in the data folder:
  service.toml       settings            funcx.db, blobs/   everything durable
  service.log        the log             backups/           copies of funcx.db
  forwarder.key      identity of the forwarder (keep it: endpoints know it)

\b
Exit status:
  0   stopped as asked            1   stopped at once
  70  a fault of the service      2   a setting is wrong; the text says which

\b
Examples:
  funcx-service
  funcx-service --host 0.0.0.0 --certificate chain.pem --key key.pem \\
                --public-name funcx.example.org
  funcx-service config --example > ~/.funcx/service/service.toml
  funcx-service token --label laptop --days 30
"""


def _ports(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        tasks, results, commands = (int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"'{text}' is not three numbers such as 55001,55002,55003.") from None
    return tasks, results, commands


def _setting(flag: str, key: str, help_text: str, **more: Any) -> Callable[[F], F]:
    """Return an option that sets the key of the same meaning."""
    return click.option(flag, key.replace(".", "__"), help=f"{help_text}  [{key}]", **more)


_PATH: Final = click.Path(path_type=Path)


@click.group(
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="funcx-service")
@click.option("--config", "file", type=_PATH, help="Settings file.  [default: service.toml in the data folder]")
@_setting("--data-dir", "data_dir", "Folder of all data; $FUNCX_HOME/service if not given.", type=_PATH)
@_setting("--host", "listen.host", "Address to listen on; 127.0.0.1 if not given.")
@_setting("--port", "listen.port", "Port of HTTP; 0 for any free one. Else the last one used, else 5000.", type=int)
@_setting("--public-name", "listen.public_name", "Name by which clients reach this machine.")
@_setting("--allowed-host", "listen.allowed_hosts", "Another name it answers to; may be repeated.", multiple=True)
@_setting("--certificate", "listen.certificate", "Certificate chain (PEM): serve HTTPS.", type=_PATH)
@_setting("--key", "listen.key", "Private key of the certificate (PEM).", type=_PATH)
@_setting(
    "--insecure-listen",
    "listen.insecure",
    "Listen beyond this machine without TLS, although anybody on that network can then read every token.",
    is_flag=True,
    default=None,
)
@_setting("--forwarder-host", "forwarder.host", "Address for the encrypted channels of endpoints.")
@_setting("--forwarder-address", "forwarder.public_address", "Address that endpoints are told to connect to.")
@_setting("--forwarder-ports", "forwarder.ports", "Ports for tasks,results,commands.", callback=_ports)
@_setting("--heartbeat-period", "forwarder.heartbeat_period", "Seconds between heartbeats of endpoints.", type=float)
@_setting(
    "--heartbeat-threshold", "forwarder.heartbeat_threshold", "Seconds until a silent one is offline.", type=float
)
@_setting(
    "--blob-store", "blob_store", "Where large values are kept: s3://bucket/prefix?endpoint_url=… or file:///folder."
)
@_setting("--log-file", "logs.file", "JSON lines; service.log in the data folder if not given.", type=_PATH)
@_setting("--debug", "logs.debug", "Log more.", is_flag=True, default=None)
@click.option("--ready-file", type=_PATH, help="File to write the address to once it serves.")
@click.pass_context
def cli(context: click.Context, /, *, file: Path | None, ready_file: Path | None, **given: Any) -> None:
    """Run the funcX web service and forwarder in the foreground, until SIGTERM or Ctrl-C.

    Clients speak HTTP to it, or HTTPS if it has a certificate; endpoints connect to three encrypted channels. Everything that
    it has acknowledged is on disk: it may be killed at any time. `funcx up` starts it in the background, together with an endpoint.
    """
    source = Settings(
        file, {name.replace("__", "."): value for name, value in given.items() if value not in (None, ())}
    )
    context.obj = source
    if context.invoked_subcommand is None:
        config = source.load()
        config.check()
        _run(_serve(config, source, ready_file))


class Settings:
    """Where the settings of this process come from; they can be read again."""

    def __init__(self, file: Path | None, flags: dict[str, Any]) -> None:
        self._file = file.absolute() if file is not None else None
        # A path on the command line is meant from here, one in the file from there.
        self._flags = {key: Path.cwd() / value if isinstance(value, Path) else value for key, value in flags.items()}

    def load(self) -> ServiceConfig:
        """Return what counts now; see `config_file.load`."""
        data_dir = self._flags.get("data_dir") or Path(
            os.environ.get(f"{config_file.PREFIX}DATA_DIR") or home() / "service"
        )
        return config_file.load(data_dir.absolute(), file=self._file, environ=os.environ, flags=self._flags)


@cli.command()
@click.option("--example", is_flag=True, help="A file with every key, explained, instead.")
@click.pass_obj
def config(source: Settings, *, example: bool) -> None:
    """Print the settings that count, as a file."""
    if example:
        print(config_file.example(ServiceConfig(data_dir=home() / "service")), end="")
        return
    found = source.load()
    found.check()
    print(config_file.effective(found), end="")


@cli.command()
@click.option("--label", default="funcx token", show_default=True, help="What the token is for.")
@click.option("--days", type=float, help="Days until it expires. [default: never]")
@click.option("--user", help="Whose token; a user of that name is made if there is none. [default: you]")
@click.pass_obj
def token(source: Settings, *, label: str, days: float | None, user: str | None) -> None:
    """Print a new bearer token for the local user, or for another one."""
    lifetime = None if days is None else days * 86400
    print(_run(mint_token(source.load().data_dir, label=label, lifetime=lifetime, user_name=user)))


async def _serve(config: ServiceConfig, source: Settings, ready_file: Path | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    _configure_logs(config)
    end_with_threads()
    _allow_many_connections()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, stop)
    async with Service(config, home()) as service:
        pass_over_what_is_there()
        loop.add_signal_handler(signal.SIGHUP, _reload, service, source)
        if ready_file is not None:
            write_private(ready_file, service.address.encode() + b"\n")
        until = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(service.wait())]
        done, left = await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        for future in left:
            future.cancel()
        for future in done:
            future.result()
        _log.info("stopping")


def _allow_many_connections() -> None:
    """Each endpoint takes three file descriptors, each client one; what a shell allows by itself is often 1024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stop(stop: asyncio.Event) -> None:
    if stop.is_set():
        _end_at_once("told to stop a second time")
    stop.set()
    # A thread, because it may be the loop that does not come to an end.
    timer = threading.Timer(STOP_SECONDS, _end_at_once, [f"not stopped after {STOP_SECONDS:g} s"])
    timer.daemon = True
    timer.start()


def _end_at_once(reason: str) -> None:
    _log.warning("%s: ending at once; nothing that was acknowledged is lost", reason)
    logging.shutdown()
    os._exit(1)


def _reload(service: Service, source: Settings) -> None:
    try:
        config = source.load()
        config.check()
        found = service.reload(config)
        _configure_logs(found.config)
    except FuncxError as error:
        _log.error("the settings were not taken; the old ones count: %s", error)
        return
    _log.info("settings and certificate were read again; changed: %s", ", ".join(found.taken) or "nothing")
    if found.at_restart:
        _log.warning("these count from the next start on: %s", ", ".join(found.at_restart))


def _configure_logs(config: ServiceConfig) -> None:
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = config.logs
    logs.configure(
        kept.file or config.data_dir / "service.log",
        console=True,
        level=logs.Level.DEBUG if kept.debug else logs.Level.INFO,
        process="service",
        rotate_at=kept.rotate_at,
        keep=kept.keep,
    )


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    sys.setswitchinterval(SWITCH_INTERVAL)
    return run(work)


def main() -> None:
    """Run the command line. Exit status: 2 for what the caller can fix, 70 for a fault of ours."""
    try:
        cli(prog_name="funcx-service")
    except FuncxError as error:
        print(f"funcx-service: {error}", file=sys.stderr)
        sys.exit(USAGE_EXIT)
    except Exception:  # noqa: BLE001 - the one of this process: logged with its traceback, and the process ends
        _log.exception("the service ends because of a fault of its own")
        logging.shutdown()
        # Threads of a broken process must not keep it alive: whoever started it starts it again.
        os._exit(CRASH_EXIT)


if __name__ == "__main__":
    main()
