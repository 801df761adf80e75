"""Secrets out of trajectories, before anything leaves for a model or a store."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaizen.sync.model import Conversation, Message, Trajectory

_KNOWN = (
    "artifactory.ArtifactoryDetector",
    "aws.AWSKeyDetector",
    "azure_storage_key.AzureStorageKeyDetector",
    "discord.DiscordBotTokenDetector",
    "github_token.GitHubTokenDetector",
    "gitlab_token.GitLabTokenDetector",
    "mailchimp.MailchimpDetector",
    "npm.NpmDetector",
    "openai.OpenAIDetector",
    "pypi_token.PypiTokenDetector",
    "sendgrid.SendGridDetector",
    "slack.SlackDetector",
    "square_oauth.SquareOAuthDetector",
    "stripe.StripeDetector",
    "telegram_token.TelegramBotTokenDetector",
    "twilio.TwilioKeyDetector",
)

_NAME = "api[_-]?key|apikey|secret|passwd|password|access[_-]?token|auth[_-]?token|private[_-]?key"
_KEYWORD = (
    rf"(?i)(?<![A-Za-z])[\w-]*(?:{_NAME})[\w-]*\\?[\"']?\s*(?:[:=]|=>|:=)\s*\\?[\"']?"
    r"(?P<secret>[^\s\"'\\,;{}<>()\[\]]{8,})"
)

# What detect-secrets does not know, or knows only the first line of.
_OWN = (
    ("Private Key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    ("JSON Web Token", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"),
    ("API Key", r"\b(?:sk|rk|pk)-[A-Za-z0-9_-]{20,}"),
    ("Google API Key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("Hugging Face Token", r"\bhf_[A-Za-z0-9]{30,}"),
    (
        "Authorization Header",
        r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/-]{12,}=*|(?<=\bbasic )[A-Za-z0-9+/]{16,}={0,2}",
    ),
    ("Password in URL", r"(?<=://)[^\s:/@'\"]*:[^\s/@'\"]+(?=@)"),
    ("Secret Keyword", _KEYWORD),
)


@dataclass(slots=True)
class Redactor:
    """Replaces secrets by `[redacted: <kind>]` and counts what it replaced, by kind."""

    counts: Counter[str] = field(default_factory=Counter)

    def text(self, text: str) -> str:
        """The text without the secrets that a detector knows, and without what UTF-8 cannot carry."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode()
        for kind, pattern in _patterns():
            text = pattern.sub(self._replacement(kind), text)
        return text

    def _replacement(self, kind: str) -> Callable[[re.Match[str]], str]:
        def replacement(match: re.Match[str]) -> str:
            secret = match["secret"] if "secret" in match.re.groupindex else match[0]
            if secret.startswith("[redacted") or (kind == "Secret Keyword" and not _looks_secret(secret)):
                return match[0]
            self.counts[kind] += 1
            return match[0].replace(secret, f"[redacted: {kind}]")

        return replacement

    def trajectory(self, trajectory: Trajectory) -> Trajectory:
        """The trajectory with every text of it redacted."""
        return replace(
            trajectory,
            messages=tuple(map(self._message, trajectory.messages)),
            side_conversations=tuple(map(self._conversation, trajectory.side_conversations)),
            errors=tuple(map(self.text, trajectory.errors)),
            tools=tuple(map(self.text, trajectory.tools)),
            outcome=replace(trajectory.outcome, detail=self.text(trajectory.outcome.detail)),
        )

    def _conversation(self, conversation: Conversation) -> Conversation:
        return replace(conversation, messages=tuple(map(self._message, conversation.messages)))

    def _message(self, message: Message) -> Message:
        return replace(
            message,
            content=self.text(message.content),
            tool_calls=tuple(
                replace(call, arguments=self.text(call.arguments)) for call in message.tool_calls
            ),
        )


def _looks_secret(value: str) -> bool:
    """Whether a value next to a telling name is one: words such as 'required' are not."""
    return any(c.isdigit() for c in value) or (value != value.lower() and value != value.title())


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    own = [(kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _OWN]
    # The first two of ours go first: they match whole what the library matches in part.
    return (*own[:2], *_library_patterns(), *own[2:])


def _library_patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """detect-secrets' own expressions, matched whole: its scanner yields parts of a secret for some."""
    from importlib import import_module

    for name in _KNOWN:
        module, _, detector = name.partition(".")
        plugin = getattr(import_module(f"detect_secrets.plugins.{module}"), detector)
        for pattern in plugin.denylist:
            yield plugin.secret_type, pattern
