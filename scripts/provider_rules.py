"""Write the rules for tokens of known providers anew, from those of Betterleaks that Kingfisher carries.

    pip install kingfisher-secret-scanner && python scripts/provider_rules.py

Taken are the rules whose tokens begin with letters of their own; those that a name beside the value must
tell are covered by our own. Nothing of Kingfisher is needed to redact.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

FILE = Path(__file__).parents[1] / "packages/kaizen-sync/src/kaizen/sync/secrets/providers.toml"

HEADER = """\
# Tokens of known providers: rules of Betterleaks (MIT licence, copyright of its contributors) as
# Kingfisher {version} carries them. Written by scripts/provider_rules.py: change that, or places.toml,
# rather than this file.

[expressions]
"""
FEWEST_LETTERS = 3
LINE = 98
# Keys that pages show to everybody, ids, and expressions that match ordinary words.
LEFT_OUT = re.compile(
    r"public|pub-key|publishable|-(?:id|address|name|url)\b|packagist|curl|privateai|private-key|jwt"
)
_TAIL = re.compile(r"\(\?:\\\\\?\[.*\|\$\)$|\(\?:\[\^[^\]]*\]\|\\z\)$|\(\?:\[\^[^\]]*\]\|\$\)$")
_INLINE = re.compile(r"\(\?i\)")
_OPENING = re.compile(r"(?:\(\?i:|\(\?:|\(|\\b)*([A-Za-z0-9][A-Za-z0-9_/:-]*)(?![?*{|])")


def rules() -> Iterator[tuple[str, str]]:
    """Yield the id and the expression of each rule that is taken."""
    from kingfisher_sdk import Rules

    loaded = Rules(confidence="low", cache=False)
    for rule in loaded.metadata():
        name = rule["id"].rpartition("/")[2].removeprefix("betterleaks.")
        pattern = loaded.detail(rule["id"])["pattern"]
        if LEFT_OUT.search(name):
            continue
        if expression := taken(pattern):
            yield re.sub(r"[-.]", " ", re.sub(r"\.\d$", "", name)).title(), expression


def taken(pattern: str) -> str:
    """Return the expression for the token itself; empty if its first letters do not tell it."""
    pattern = _TAIL.sub("", pattern).replace("[:alnum:]", "A-Za-z0-9")
    if "{0,20})[" in pattern:
        # A provider's name, a separator, and the token in brackets.
        pattern = pattern[pattern.rindex("{0,5}(") + 5 :] if "{0,5}(" in pattern else ""
        pattern = f"\\b(?i:{pattern})" if pattern else ""
    if _INLINE.search(pattern):
        pattern = f"(?i:{_INLINE.sub('', pattern)})"
    opening = _OPENING.match(pattern)
    if not opening or len(opening[1]) < FEWEST_LETTERS or re.search(r"\\s|\n|\.\{|\.\||'", pattern):
        return ""
    try:
        compiled = re.compile(pattern)
    except re.error:
        return ""
    return "" if compiled.search("the quick brown fox, 12345: api_key=secret token") else pattern


def wrapped(expression: str) -> str:
    """Break the expression into lines, which such files allow."""
    return (
        expression
        if len(expression) < LINE
        else "".join(f"\n    {part}" for part in textwrap.wrap(expression, LINE))
    )


def main() -> None:
    listed: dict[str, list[str]] = {}
    for name, expression in sorted(rules()):
        listed.setdefault(name, []).append(f"  '''{wrapped(expression)}''',\n")
    lines = [f'"{name}" = [\n{"".join(expressions)}]' for name, expressions in listed.items()]
    header = HEADER.format(version=version("kingfisher-secret-scanner"))
    FILE.write_text(header + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
