"""Words of which one says the opposite of the other, as tips use them. English. Pure."""

from __future__ import annotations

import re

from kaizen.tips.text import stemmed

# Where two statements of the same thing differ in one of these, only one of them can be right.
_VERDICTS = """
include includes including included contain contains available exist exists present / exclude excludes
include / excluding excluded omit omits omitting omitted unavailable missing absent
require requires requiring required mandatory necessary need needs needed / optional unnecessary unneeded
enable enables enabling enabled / disable disables disabling disabled
allow allows allowed permit permits permitted / forbid forbids forbidden
accept accepts accepted approve approves approved / reject rejects rejected decline declines declined
supported supports support / unsupported
succeed succeeds succeeded / fail fails failed
possible / impossible
safe / unsafe dangerous
valid / invalid
correct right / incorrect wrong
reliable / unreliable
true / false
inclusive / exclusive
sensitive / insensitive
sorted / unsorted
zero-based / one-based
"""
# These choose between things or ways, and both may be right, each in its case.
_CHOICES = """
increase increases increasing / decrease decreases decreasing
ascending / descending
newest latest newer / oldest earliest older
first / last
most highest maximum max largest longest greatest / least lowest minimum min smallest shortest fewest
more greater larger longer / less fewer smaller shorter
sent / received
sender / receiver recipient
add adds adding added / remove removes removing removed delete deletes deleting deleted
local / remote
public / private
open opens opening / close closes closing
synchronous synchronously / asynchronous asynchronously
sequential sequentially / parallel concurrently
uppercase / lowercase
"""

NEGATORS = frozenset(
    re.findall(
        r"\w+",
        "not never no cannot without avoid avoids avoided neither nor none nothing refrain unable lack lacks",
    )
)
"""Words that turn round what is said, beside those that end in "n't"."""


def _poles(pairs: str) -> dict[str, tuple[str, int]]:
    poles = {}
    for pair in pairs.split("\n"):
        for sign, words in zip((1, -1), pair.split("/"), strict=False):
            for word in words.split():
                poles[stemmed(word)] = (stemmed(pair.split()[0]), sign)
    return poles


VERDICTS = _poles(_VERDICTS)
"""By stem: the stem of the first word of its line, and the side that it is on."""
CHOICES = _poles(_CHOICES)
