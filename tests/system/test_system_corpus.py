"""The corpus of functions and values on a real fabric: client, service, endpoint, worker and back."""

from __future__ import annotations

from tests.support.corpus import FUNCTIONS, VALUES, same


def identity(value):
    return value


def test_every_function_and_value_of_the_corpus_makes_the_round_trip(fabric):
    """U23"""
    with fabric.executor() as executor:
        functions = {case.name: executor.submit(case.function, *case.args) for case in FUNCTIONS}
        values = {name: executor.submit(identity, value) for name, value in VALUES.items()}
        wrong = [case.name for case in FUNCTIONS if not same(functions[case.name].result(60), case.result)]
        wrong += [name for name, value in VALUES.items() if not same(values[name].result(60), value)]
    assert wrong == []
