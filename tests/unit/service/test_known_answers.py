"""Answers that need not be given again."""

from __future__ import annotations

from collections.abc import Collection

from funcx_core.ids import EndpointId
from funcx_core.service.known_answers import KnownAnswers, Question, digest, tag_of
from tests.support.stored import ALICE, BOB, ENDPOINT, OTHER_ENDPOINT

HERE = frozenset({ENDPOINT})
ASKED = Question(ALICE.user_id, digest(b"body"), "OURS")


class Changes:
    def __init__(self) -> None:
        self.at: dict[EndpointId, int] = {}

    def __call__(self, since: int, endpoint_ids: Collection[EndpointId] | None) -> bool:
        return any(at > since for where, at in self.at.items() if endpoint_ids is None or where in endpoint_ids)


def test_an_answer_is_good_until_something_changes_where_its_tasks_are():
    changes = Changes()
    answers = KnownAnswers(changes)
    assert not answers.is_good(ASKED, '"a"')
    answers.keep(ASKED, '"a"', 5, HERE)
    changes.at = {ENDPOINT: 5, OTHER_ENDPOINT: 6}
    assert answers.is_good(ASKED, '"a"')
    changes.at[ENDPOINT] = 6
    assert not answers.is_good(ASKED, '"a"')


def test_what_is_not_there_may_appear_anywhere():
    changes = Changes()
    answers = KnownAnswers(changes)
    answers.keep(ASKED, '"a"', 5, None)
    assert answers.is_good(ASKED, '"a"')
    changes.at = {OTHER_ENDPOINT: 6}
    assert not answers.is_good(ASKED, '"a"')


def test_an_answer_is_good_for_who_got_it_and_asks_the_same():
    answers = KnownAnswers(Changes())
    answers.keep(ASKED, '"a"', 5, HERE)
    assert not answers.is_good(ASKED, '"b"')
    assert not answers.is_good(ASKED._replace(user_id=BOB.user_id), '"a"')
    assert not answers.is_good(ASKED._replace(body=digest(b"other")), '"a"')
    assert not answers.is_good(ASKED._replace(manner="TEXT"), '"a"')


def test_the_answers_that_nobody_asks_for_are_forgotten():
    answers = KnownAnswers(Changes(), at_most=2)
    first, second, third = (ASKED._replace(body=digest(name)) for name in (b"1", b"2", b"3"))
    answers.keep(first, '"a"', 1, HERE)
    answers.keep(second, '"a"', 1, HERE)
    assert answers.is_good(first, '"a"')
    answers.keep(third, '"a"', 1, HERE)
    assert [answers.is_good(each, '"a"') for each in (first, second, third)] == [True, False, True]


def test_the_same_content_has_the_same_tag():
    assert tag_of(b"x") == tag_of(b"x") != tag_of(b"y")
    assert tag_of(b"x")[0] == tag_of(b"x")[-1] == '"'
