"""The answers of models as pydantic types; their JSON schemas go along with the questions.

Each answer is an object with one list. Values are coerced if what is meant is clear.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, field_validator

from kaizen.tips.tip import Category

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBERING = re.compile(r"^\s*(?:\d{1,2}[.):]|[-*•])\s+")
# Other words for a category; `strategy` comes last, since every other may be called a strategy.
_CATEGORY_WORDS: tuple[tuple[Category, str], ...] = (
    ("recovery", r"recover|error.?handling"),
    ("optimization", r"optimi[sz]|efficien"),
    ("strategy", r"strateg"),
)
_PLACEHOLDER = re.compile(r"\s*(?:\.{3}|…|string|<[^<>]{1,60}>)\s*")


def _strict(schema: dict[str, Any]) -> None:
    """Strict schemas demand every key and forbid others; an answer is usable all the same."""
    schema["additionalProperties"] = False
    schema["required"] = list(schema["properties"])


def _whole_numbers(value: Any) -> Any:
    """Return the whole numbers of a list; steps that are no numbers spoil no answer."""
    numbers = value if isinstance(value, list) else [value]
    return [int(number) for number in numbers if str(number).isdecimal() and len(str(number)) < 10]


def _whole_number(value: Any) -> Any:
    """Return the whole number that is meant, such as by `finding 2`; a finding that is none spoils no tip."""
    found = re.search(r"\d{1,4}", str(value))
    return int(found[0]) if found else None


def _category(value: Any) -> Any:
    """Return the category that other words mean, such as `Recovery Strategy`."""
    text = str(value).casefold()
    return next((name for name, words in _CATEGORY_WORDS if re.search(words, text)), value)


def _lines(value: Any) -> Any:
    """Return a list of texts for a text with one a line, for null, and for objects that contain one text."""
    if value is None:
        return []
    items = value.splitlines() if isinstance(value, str) else value
    if not isinstance(items, list):
        return value
    texts = [_only_text(item) for item in items if item is not None]
    return [_NUMBERING.sub("", text) if isinstance(text, str) else text for text in texts]


def _only_text(item: Any) -> Any:
    texts = [text for text in item.values() if isinstance(text, str)] if isinstance(item, dict) else []
    return texts[0] if len(texts) == 1 else item


def _word(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value


# Defaults come from factories below: as values they would be in the schema, which providers refuse.
_Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class Answer(BaseModel):
    """An object that a model answers with, or an entry of its list."""

    model_config = ConfigDict(extra="ignore", json_schema_extra=_strict)

    _dropped: Counter[str] = PrivateAttr(default_factory=Counter)

    @property
    def dropped(self) -> Counter[str]:
        """Return how many entries of the model's answer were dropped, by reason."""
        return self._dropped

    @classmethod
    def of(cls, entries: Sequence[Answer], dropped: Counter[str] | None = None) -> Self:
        """Return the answer with these entries in its list, and how many others were dropped."""
        answer = cls.model_validate({next(iter(cls.model_fields)): entries})
        # The plus leaves out what was counted zero times.
        answer._dropped = +(dropped or Counter())
        return answer


class WordedTip(Answer):
    """One tip as the model words it; `steps` are the numbers of those that show it.

    `finding` is the number of what the calls prove, if it words that.
    """

    content: str
    category: Annotated[Category, BeforeValidator(_category)]
    rationale: _Text = Field(default_factory=str)
    trigger: _Text = Field(default_factory=str)
    implementation_steps: Annotated[list[str], BeforeValidator(_lines)] = Field(default_factory=list)
    task_description: _Text = Field(default_factory=str)
    steps: Annotated[list[int], BeforeValidator(_whole_numbers)] = Field(default_factory=list)
    quote: _Text = Field(default_factory=str)
    finding: Annotated[int | None, BeforeValidator(_whole_number)] = Field(default_factory=lambda: None)

    @field_validator("content")
    @classmethod
    def _is_no_placeholder(cls, content: str) -> str:
        if _PLACEHOLDER.fullmatch(content):
            raise ValueError("it is the form and not a tip")
        return content


class TipsAnswer(Answer):
    """The tips of one run; none is a good answer."""

    tips: list[WordedTip]


class WordedSegment(Answer):
    """One of several tasks that a run worked on, by its first and last step."""

    first_step: int
    last_step: int
    task_description: _Text = Field(default_factory=str)


class SegmentsAnswer(Answer):
    """The tasks of one run, in order."""

    segments: list[WordedSegment]


class Veto(Answer):
    """What speaks against the note of that number."""

    note: int
    reason: _Text = Field(default_factory=str)


class VetoesAnswer(Answer):
    """The notes that a person must see first; none is a good answer."""

    vetoes: list[Veto]


class Decision(Answer):
    """What new tip number `new` is to known tip number `known`; `content` is the wording of a merge."""

    new: int
    decision: Annotated[Literal["new", "duplicate", "merge", "contradicts"], BeforeValidator(_word)]
    known: int | None = Field(default_factory=lambda: None)
    content: str | None = Field(default_factory=lambda: None)


class DecisionsAnswer(Answer):
    """What each new tip is to the known ones, as far as they have to do with each other."""

    decisions: list[Decision]


class MergedTips(Answer):
    """One wording for the tips with these numbers."""

    members: list[int]
    content: str
    trigger: _Text = Field(default_factory=str)


class GroupsAnswer(Answer):
    """Which of the tips shown are one lesson; none is a good answer."""

    groups: list[MergedTips]
