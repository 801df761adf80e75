"""`kaizen tips review`: tips that wait for a person."""

from __future__ import annotations

from kaizen.cli.entities import review as entities
from kaizen.cli.tips.derived import for_tips

review = for_tips(entities.review, entities.review.__doc__ or "")
