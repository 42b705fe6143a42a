from __future__ import annotations

import pytest

from funcx_core.cells.requirements import Unmet, check_here, unmet_by
from funcx_core.errors import RequirementNotMet
from funcx_core.protocol.environment import MOST_NAMES, Environment

THERE = Environment(
    python_version="3.12.1",
    platform="Linux-6.1.0-x86_64-with-glibc2.36",
    packages={"numpy": "1.26.4", "scikit-learn": "1.5.0rc1", "odd": "not a version"},
)


@pytest.mark.parametrize(
    "wanted",
    [
        "numpy",
        "numpy>=1.26,<2",
        "scikit_learn>=1.4",
        "odd",
        "xgboost; python_version < '3.12'",
        "xgboost; platform_system == 'Windows'",
        "xgboost; implementation_name == 'pypy'",
    ],
)
def test_what_is_met(wanted):
    assert unmet_by([wanted], THERE) is None


@pytest.mark.parametrize(
    ("wanted", "unmet"),
    [
        ("numpy>=2", Unmet("numpy>=2", "numpy", "1.26.4")),
        ("xgboost", Unmet("xgboost", "xgboost", "")),
        ("odd>1", Unmet("odd>1", "odd", "not a version")),
        ("xgboost; sys_platform == 'linux'", Unmet("xgboost; sys_platform == 'linux'", "xgboost", "")),
    ],
)
def test_what_is_not(wanted, unmet):
    assert unmet_by(["numpy", wanted], THERE) == unmet


def test_an_endpoint_that_does_not_tell_all_is_not_judged():
    assert unmet_by(["xgboost"], Environment(python_version="3.12.1")) is None
    many = {f"p{number}": "1" for number in range(MOST_NAMES)}
    assert unmet_by(["xgboost"], Environment(python_version="3.12.1", packages=many)) is None


def test_what_is_said():
    assert Unmet("numpy>=2", "numpy", "1.26.4").describe("theta") == (
        "`numpy>=2` is not met on theta: numpy 1.26.4 is installed there."
    )
    assert Unmet("xgboost", "xgboost", "").describe("theta") == (
        "`xgboost` is not met on theta: xgboost is not installed there."
    )


def test_a_worker_checks_its_own_python():
    check_here(["msgspec>=0.1", "nothing-like-this; python_version < '3'"], "nid1")
    with pytest.raises(RequirementNotMet, match=r"`msgspec>=1000` is not met on nid1: msgspec .* is installed there\."):
        check_here(["msgspec>=1000"], "nid1")
