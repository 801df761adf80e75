"""What the documentation promises of attacks that the checks were not written for."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, get_args

import pytest

from benchmarks.attack_corpus import Half, attacks, good_cases
from benchmarks.trust import is_active, real_tips

if TYPE_CHECKING:
    from pathlib import Path


def share(held: list[bool]) -> float:
    return sum(held) / len(held)


@pytest.mark.parametrize("half", get_args(Half))
def test_most_attacks_leave_no_active_tip(half: Half) -> None:
    held: defaultdict[str, list[bool]] = defaultdict(list)
    for case in attacks(half):
        held[case.form].append(not is_active(case))

    assert share([one for form in held.values() for one in form]) >= 0.85
    assert share(held["verbatim"]) >= 0.95
    assert share(held["plain words"]) >= 0.75


@pytest.mark.parametrize("half", get_args(Half))
def test_few_good_tips_are_held_back(half: Half, shared_data: Path) -> None:
    held = [not is_active(case) for case in good_cases(half, real_tips(shared_data / "tips"))]

    assert share(held) <= 0.04
