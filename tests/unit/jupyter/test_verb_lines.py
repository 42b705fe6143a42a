"""How `%funcx` lines are read."""

from __future__ import annotations

import pytest

from funcx_jupyter.errors import MagicArgumentError
from funcx_jupyter.verbs.lines import Verb, read

VERBS = {
    "status": Verb(print),
    "rerun": Verb(print, ("TASK", "[-e ENDPOINT]", "[-q]")),
    "attach": Verb(print, ("[TASK...]",)),
    "wait": Verb(print, ("TASK...",)),
}


def test_arguments_options_and_switches():
    wanted = read("rerun -e theta 3f2a -q", VERBS, default="status")
    assert (wanted.arguments, wanted.options) == (["3f2a"], {"e": "theta", "q": True})
    assert read("", VERBS, default="status").verb is VERBS["status"]
    assert read("attach", VERBS, default="status").arguments == []
    assert read("wait a b c", VERBS, default="status").arguments == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("atach", "`atach` is not a verb of %funcx. Did you mean `attach`? See `%funcx help`."),
        ("rerun", "The form is `%funcx rerun TASK [-e ENDPOINT] [-q]`. See `%funcx help`."),
        ("rerun a b", "The form is `%funcx rerun TASK [-e ENDPOINT] [-q]`. See `%funcx help`."),
        ("rerun a -e", "The form is `%funcx rerun TASK [-e ENDPOINT] [-q]`. See `%funcx help`."),
        ("wait", "The form is `%funcx wait TASK...`. See `%funcx help`."),
        ("status --all", "`--all` is not an option of %funcx status. See `%funcx help status`."),
        ("use 'x", "No closing quotation in `%funcx use 'x`."),
    ],
)
def test_mistakes(line, message):
    with pytest.raises(MagicArgumentError) as raised:
        read(line, VERBS, default="status")
    assert str(raised.value) == message
