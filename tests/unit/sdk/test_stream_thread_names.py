"""The thread of the stream may not take a name that `threading.Thread` uses, in any version of Python."""

from __future__ import annotations

import ast
import inspect
import threading

from funcx_core.sdk.stream_thread import StreamThread

SINCE_3_13 = {"_handle", "_os_thread_handle"}
SINCE_3_14 = {"_context"}
MEANT = {"__init__", "run"}


def test_it_takes_none():
    tree = ast.parse(inspect.getsource(StreamThread))
    methods = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    attributes = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    }
    assert "_take_in" in methods
    reserved = SINCE_3_13 | SINCE_3_14 | set(dir(threading.Thread()))
    assert (methods | attributes) & reserved == MEANT
