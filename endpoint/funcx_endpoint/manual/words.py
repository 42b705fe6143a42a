"""Examples of every command, and what all of them share: files, environment, exit codes."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "": (
        ("funcx-endpoint configure", "make the endpoint `default`, for this machine"),
        ("funcx-endpoint start", "bring it online"),
        ("funcx-endpoint status", "see its workers and tasks"),
        ("funcx-endpoint stop", "end it when its tasks have ended"),
    ),
    "completion": (
        ("funcx-endpoint completion bash", 'for ~/.bashrc: eval "$(funcx-endpoint completion bash)"'),
        ("funcx-endpoint completion fish", "for ~/.config/fish/completions/funcx-endpoint.fish"),
    ),
    "configure": (
        ("funcx-endpoint configure", "the endpoint `default`, for this machine"),
        ("funcx-endpoint configure cluster --template slurm", "begin with a ready configuration"),
        ("funcx-endpoint configure cluster --endpoint-config config.yaml", "use one of your own"),
    ),
    "delete": (
        ("funcx-endpoint delete old", "ask, then remove the folder"),
        ("funcx-endpoint delete old --remote --yes", "do not ask, and remove it from the service, too"),
    ),
    "init": (("funcx-endpoint init", "safe to repeat: what is there stays"),),
    "list": (
        ("funcx-endpoint list", "id, state and name of each"),
        ("funcx-endpoint list --json", "for scripts"),
    ),
    "login": (
        ("funcx-endpoint login", "for the service that is configured"),
        ("funcx-endpoint login https://funcx.example.org:5000/v2", "for another one"),
    ),
    "logout": (("funcx-endpoint logout", "for the service that is configured"),),
    "restart": (
        ("funcx-endpoint restart theta", "after a change of its configuration"),
        ("funcx-endpoint restart theta --grace 0 --debug", "at once, and with more in its logs"),
    ),
    "start": (
        ("funcx-endpoint start", "the endpoint `default`"),
        ("funcx-endpoint start theta --log-to-console", "stay in the terminal: for containers and supervisors"),
        (
            "funcx-endpoint start theta --endpoint-uuid 1e999502-b434-49a2-a2e0-d925383d2dd4",
            "with an id that you chose",
        ),
    ),
    "status": (
        ("funcx-endpoint status theta", "for people"),
        ("funcx-endpoint status theta --json", "for scripts"),
    ),
    "hold": (("funcx-endpoint hold theta 3f2a9c", "what it has goes on; `status` shows the managers"),),
    "release": (("funcx-endpoint release theta 3f2a9c", "it is given tasks again"),),
    "stop": (
        ("funcx-endpoint stop theta", "running tasks get the `grace` of its configuration"),
        ("funcx-endpoint stop theta --drain", "running tasks end, however long they take"),
        ("funcx-endpoint stop theta --grace 0", "running tasks are lost"),
        ("funcx-endpoint stop theta --remote", "from another machine"),
    ),
    "templates": (
        ("funcx-endpoint templates", "what there is"),
        ("funcx-endpoint templates slurm", "print one"),
    ),
    "version": (("funcx-endpoint version", "of this installation"),),
    "whoami": (
        ("funcx-endpoint whoami", "at the service that is configured"),
        ("funcx-endpoint whoami --json", "for scripts"),
    ),
}
"""Command lines by the name of their command, each with what it does; the empty name has those of the whole program."""

FILES: Final = (
    ("~/.funcx/NAME/config.py", "the configuration of an endpoint; or config.yaml"),
    ("~/.funcx/NAME/endpoint.json", "its id, kept over all its starts"),
    ("~/.funcx/NAME/logs/", "agent.log, and a log for each manager"),
    ("~/.funcx/NAME/results/", "results that the service has not acknowledged yet"),
    ("~/.funcx/config.py", "global_options: what all endpoints of a user share"),
    ("~/.funcx/credentials.json", "tokens by service"),
)
ENVIRONMENT: Final = (
    ("FUNCX_HOME", "the folder in place of ~/.funcx"),
    ("FUNCX_SERVICE_ADDRESS", "the service in place of the one that `funcx up` started here"),
    ("FUNCX_TOKEN", "the token in place of a saved one"),
    ("FUNCX_SDK_CLIENT_ID", "with FUNCX_SDK_CLIENT_SECRET: sign in as a program"),
    ("FUNCX_SDK_ENVIRONMENT", "the set of saved tokens"),
    ("FUNCX_ENDPOINT__SETTING", "a setting in place of the configuration's, such as FUNCX_ENDPOINT__GRACE=60"),
    ("NO_COLOR", "no colours in the terminal"),
)
EXIT_CODES: Final = (
    ("0", "it is done"),
    ("1", "it failed; the last line says why, and what to do"),
    ("2", "the command was not understood"),
    ("130", "it was interrupted"),
)
