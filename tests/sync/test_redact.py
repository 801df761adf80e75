"""Secrets leave texts, everything else stays byte for byte, and no text takes long."""

from __future__ import annotations

import json
import random
import re
import string
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.secret_corpus import samples
from benchmarks.secret_formats import samples as formats
from kaizen.sync import SettingsError, redact
from kaizen.sync.model import Conversation, Message, Outcome, ToolCall, Trajectory
from kaizen.sync.outcomes.judge import Judge
from kaizen.sync.redact import Redaction, Redactor
from kaizen.sync.run.prepare import UnpreparedTrace, prepare_trace
from tests.support.cpu import cpu_time
from tests.support.listed import ListedSource
from tests.support.traces import llm, load_traces, trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_random = random.Random(20260101)


def made(alphabet: str, length: int) -> str:
    """A made-up secret that holds a digit and a letter of either case, where the alphabet does."""
    must = [c for c in (alphabet[:1], alphabet[-1:], "7" if "7" in alphabet else "") if c]
    chars = must + [_random.choice(alphabet) for _ in range(length - len(must))]
    _random.shuffle(chars)
    return "".join(chars)


ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits

# kind, the text, and what of it must be gone; put together here so that no scanner takes them for real
SECRETS = {
    "openai": ("API Key", "sk-" + made(ALNUM, 48)),
    "openai-project": ("API Key", "sk-proj-" + made(ALNUM, 60)),
    "anthropic": ("API Key", "sk-ant-api03-" + made(ALNUM + "_-", 80)),
    "aws-id": ("AWS Access Key", "AKIA" + made(UPPER, 16)),
    "github": ("GitHub Token", "ghp_" + made(ALNUM, 36)),
    "github-fine": ("GitHub Token", "github_pat_" + made(ALNUM, 22) + "_" + made(ALNUM, 59)),
    "gitlab": ("GitLab Token", "glpat-" + made(ALNUM, 20)),
    "google": ("Google API Key", "AIza" + made(ALNUM, 35)),
    "huggingface": ("Hugging Face Token", "hf_" + made(ALNUM, 34)),
    "jwt": ("JSON Web Token", f"eyJ{made(ALNUM, 30)}.eyJ{made(ALNUM, 60)}.{made(ALNUM + '_-', 43)}"),
    "slack": ("Slack Token", f"xoxb-{made(string.digits, 12)}-{made(string.digits, 12)}-{made(ALNUM, 24)}"),
    "slack-hook": (
        "Slack Token",
        f"https://hooks.slack.com/services/T{made(UPPER, 8)}/B{made(UPPER, 8)}/{made(ALNUM, 24)}",
    ),
    "stripe": ("Stripe Access Key", "sk_live_" + made(ALNUM, 99)),
    "twilio": ("Twilio API Key", "SK" + made(LOWER, 32)),
    "sendgrid": ("SendGrid API Key", f"SG.{made(ALNUM, 22)}.{made(ALNUM, 43)}"),
    "telegram": ("Telegram Bot Token", f"{made('123456789', 9)}:{made(ALNUM, 35)}"),
    "npm": ("NPM Token", "npm_" + made(ALNUM, 36)),
    "pypi": ("PyPI Token", "pypi-AgEIcHlwaS5vcmc" + made(ALNUM, 90)),
    "artifactory": ("Artifactory Credentials", "AKC" + made(ALNUM, 70)),
    "mailchimp": ("Mailchimp Access Key", made("0123456789abcdef", 32) + "-us12"),
    "square": ("Square OAuth Secret", "sq0csp-" + made(ALNUM, 43)),
    "discord": ("Discord Bot Token", f"M{made(ALNUM, 23)}.{made(ALNUM, 6)}.{made(ALNUM, 27)}"),
    "pem": (
        "Private Key",
        f"-----BEGIN RSA PRIVATE KEY-----\n{made(ALNUM, 64)}\n-----END RSA PRIVATE KEY-----",
    ),
    "pgp": (
        "Private Key",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{made(ALNUM, 64)}\n-----END PGP PRIVATE KEY BLOCK-----",
    ),
}
PLACES = {
    "alone": "{}",
    "sentence": "The key is {} and it works.",
    "json": '{{"value": "{}", "other": 1}}',
    "assignment": "export VALUE={}\nnext line",
    "quotes": "value='{}'",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("kind", "secret"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_replaced_whole_by_its_kind(kind: str, secret: str, place: str) -> None:
    redactor = Redactor()

    assert redactor.text(place.format(secret)) == place.format(f"[redacted: {kind}]")
    assert redactor.counts == {kind: 1}


def test_a_private_key_that_is_cut_takes_the_rest_of_the_text_with_it() -> None:
    text = f"Here: -----BEGIN PRIVATE KEY-----\n{made(ALNUM, 64)}\n{made(ALNUM, 30)}"

    assert Redactor().text(text) == "Here: [redacted: Private Key]"


WORD = "hunter2Hunter2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'{{"password": "{WORD}"}}', '{"password": "[redacted: Secret Keyword]"}'),
        (f"DB_PASSWORD={WORD}", "DB_PASSWORD=[redacted: Secret Keyword]"),
        (f"client_secret: {WORD}\n", "client_secret: [redacted: Secret Keyword]\n"),
        (f"api-key = '{WORD}'", "api-key = '[redacted: Secret Keyword]'"),
        (f"access_token := {WORD};", "access_token := [redacted: Secret Keyword];"),
        (f":password => {WORD}", ":password => [redacted: Secret Keyword]"),
        (f'\\"auth_token\\": \\"{WORD}\\"', '\\"auth_token\\": \\"[redacted: Secret Keyword]\\"'),
        (
            f'\\\\\\"secret\\\\\\": \\\\\\"{WORD}\\\\\\"',
            '\\\\\\"secret\\\\\\": \\\\\\"[redacted: Secret Keyword]\\\\\\"',
        ),
        (f"?api_key={WORD}", "?api_key=[redacted: Secret Keyword]"),
        ("password=correct4horse", "password=[redacted: Secret Keyword]"),
        (f"Authorization: Bearer {WORD}", "Authorization: Bearer [redacted: Authorization Header]"),
        (
            "authorization: basic dXNlcjpwYXNzd29yZA==",
            "authorization: basic [redacted: Authorization Header]",
        ),
        ("postgres://user:pa55@db/x", "postgres://[redacted: Password in URL]@db/x"),
        ("https://user:p@ss@host/path", "https://[redacted: Password in URL]@host/path"),
        ("redis://:pa55@cache:6379", "redis://[redacted: Password in URL]@cache:6379"),
        (
            "//registry.npmjs.org/:_authToken=0f9a-secret",
            "//registry.npmjs.org/:_authToken=[redacted: NPM Token]",
        ),
    ],
)
def test_what_a_telling_place_holds_is_replaced_and_the_place_stays(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The password is required and must have at least 12 characters.",
        "password: required",
        'api_key=os.environ["OPENAI_API_KEY"]',
        "secret_key = generateKey(length=32)",
        "api_key = settings.OPENAI_API_KEY",
        "API_KEY=YOUR_API_KEY_HERE",
        "token usage: 12345 prompt, 678 completion",
        "max_tokens=4096, total_tokens: 123456",
        "Bearer authentication is needed; basic responsibilities follow.",
        "APARTMENTS, APPLICATIONS and APEXLEGENDS are capital words",
        "sk-learn and pk-fading-circle-container-element are no keys",
        "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 fixed it",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736, span 00f067aa0ba902b7",
        "id 123e4567-e89b-12d3-a456-426614174000",
        "call_9hXUUgENIkpb7GKlDLWWXqKc returned",
        "http://localhost:6006/v1/traces?x=a@b.c",
        "https://example.com:8443/path and mail me at someone@example.com",
        "ratio 3:2, time 12:34:56, yaml: {a: b}",
        "Grüße aus Köln 🎉\r\n\ttab\x00nul",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "def reset_password(user: User) -> None: ...",
        "see secret/README.md and secrets.compare_digest",
        json.dumps({"city": "Paris", "temperature": 21, "orders": ["#W2166301", "#W2466703"]}),
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    ],
)
def test_clean_text_stays_byte_for_byte(text: str) -> None:
    redactor = Redactor()

    assert redactor.text(text) == text
    assert not redactor.counts


def test_real_conversations_stay_as_they_are(shared_data: Path) -> None:
    redactor = Redactor()
    for path in sorted((shared_data / "spans" / "phoenix_dumps").glob("*.json")):
        for loaded in load_traces(path):
            for one in loaded.spans:
                for value in one.attributes.values():
                    if isinstance(value, str):
                        redactor.text(value)

    assert redactor.counts == {}


def test_redacting_twice_changes_nothing_more() -> None:
    text = "\n".join(place.format(secret) for _, secret in SECRETS.values() for place in PLACES.values())
    once = Redactor().text(text)
    redactor = Redactor()

    assert redactor.text(once) == once
    assert not redactor.counts


@given(st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_stored_afterwards(text: str) -> None:
    Redactor().text(text).encode("utf-8")


def test_half_an_emoji_does_not_keep_a_trajectory_from_being_stored() -> None:
    half = json.loads('"cut \\ud83d"')
    message = Message(
        role="assistant",
        content=half,
        name=half,
        tool_call_id=half,
        tool_calls=(ToolCall(id=half, name=half, arguments=half),),
    )
    trajectory = Trajectory(
        trace_id="t",
        messages=(message,),
        side_conversations=(Conversation(name=half, messages=(message,)),),
        errors=(half,),
        tools=(half,),
        outcome=Outcome(name="failure", judged_by=half, detail=half),
        session_id=half,
        models=(half,),
        response_ids=(half,),
        previous_response_id=half,
    )

    redacted = Redactor().trajectory(trajectory)

    repr(redacted).encode("utf-8")
    for text in (
        redacted.session_id,
        redacted.models[0],
        redacted.outcome.judged_by,
        redacted.messages[0].name,
    ):
        assert text == "cut \ufffd"
    assert redacted.messages[0].tool_calls[0].id == redacted.messages[0].tool_call_id == "cut \ufffd"


def test_a_secret_is_found_wherever_a_trajectory_holds_it() -> None:
    secret = "ghp_" + made(ALNUM, 36)
    message = Message(
        role="tool",
        content=secret,
        name=secret,
        tool_calls=(ToolCall(id="c1", name=secret, arguments=json.dumps({"token": secret})),),
    )
    trajectory = Trajectory(
        trace_id="t",
        messages=(message,),
        side_conversations=(Conversation(name=secret, messages=(message,)),),
        errors=(secret,),
        tools=(secret,),
        outcome=Outcome(name="failure", judged_by=f"status of span '{secret}'", detail=secret),
        session_id=secret,
        models=(secret,),
        response_ids=(secret,),
        previous_response_id=secret,
    )
    redactor = Redactor()

    assert secret not in repr(redactor.trajectory(trajectory))
    assert redactor.counts["GitHub Token"] == 17


SIZE = 150_000
LARGE = 1_000_000

REPEATED = [
    *("a", "A", "1", " ", "é", "a_", "-_", "0123456789abcdef", "A1b2"),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "eyJ", "eyJaaaaaaaa."),
    *("://", "://aaaaaaaaaa", "//", "//registry/:_authToken=", "sk-", "sk-a ", "sk_live_"),
    *("xoxb-", "https://hooks.slack.com/services/T", "AKIA", "aws", "aws key ", "AKC", "MA.", "12345678:"),
    *("password", "password=", "secret-_", "api_key_", "bearer ", "pypi-AgEIcHlwaS5vcmc", "glagent-"),
]
# what a detector starts with, and what it may then search through without end
STARTED = [
    ("-----BEGIN ", "A "),
    ("-----BEGIN PRIVATE KEY-----", "-----END "),
    ("://", "a:"),
    ("://a:", "@"),
    ("/:_authToken=", " "),
    ("xoxb-", "1-"),
    ("xoxb-", "1"),
    ("password", "-"),
    ("password", "\\"),
    ("password", " "),
    ("bearer ", "a"),
]


@pytest.mark.parametrize(
    ("start", "unit"), [*(("", unit) for unit in REPEATED), *STARTED], ids=lambda text: text.strip() or "-"
)
def test_adversarial_text_takes_little_time(start: str, unit: str) -> None:
    redactor = Redactor()
    redactor.text("")

    with cpu_time(below_s=2):
        redactor.text((start + unit * SIZE)[:SIZE])


@pytest.mark.parametrize("unit", ["a", "-----BEGIN PRIVATE KEY-----", "eyJ", "://", "password"])
def test_a_megabyte_of_adversarial_text_takes_seconds(unit: str) -> None:
    redactor = Redactor()
    redactor.text("")

    with cpu_time(below_s=8):
        redactor.text((unit * LARGE)[:LARGE])


BESIDE = "aB3dE6gH9jK2mN5p"


@pytest.mark.parametrize(
    "text",
    [
        "JIRA_TOKEN={}",
        "X-Vault-Token: {}",
        "GET /items?token={}&page=2",
        '{{"token":"{}"}}',
        "Server=db;Pwd={};",
        "Passwort: {}",
        "contraseña: {}",
        "mot de passe : {}",
        "пароль: {}",
        "密码\uff1a{}",
        "- name: DB_PASSWORD\n  value: {}",
        '<add key="ApiToken" value="{}"/>',
        '{{"value": "{}", "name": "api_token"}}',
        "ENV API_TOKEN {}",
        "user,password\nann,{}\n",
        "| user | token |\n|---|---|\n| ann | {} |",
        "define('AUTH_KEY', '{}');",
        "machine h login ann password {}",
        "db:5432:shop:ann:{}",
        "mysql -u root -p{} shop",
        "redis-cli -a {} ping",
        '{{"auths": {{"ghcr.io": {{"auth": "{}"}}}}}}',
        "https://s3/x?X-Amz-Signature={}",
    ],
)
@pytest.mark.parametrize(
    "encoded",
    [
        str,
        lambda text: json.dumps({"arguments": json.dumps({"text": text})}),
        lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
        lambda text: b64encode(text.encode()).decode(),
        lambda text: text.encode().hex(),
        lambda text: text.replace(BESIDE, "\u200b".join(BESIDE)),
        lambda text: text.replace(BESIDE, f"{BESIDE[:5]}\u00ad{BESIDE[5:]}"),
        lambda text: text.replace(BESIDE, f"\x1b[31m{BESIDE}\x1b[0m"),
        lambda text: "".join(f"&#{ord(c)};" for c in text),
        lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    ],
    ids=[
        "plain",
        "json",
        "percent",
        "base64",
        "hex",
        "zero-width",
        "soft-hyphen",
        "ansi",
        "entities",
        "escapes",
    ],
)
def test_a_value_beside_a_name_goes_however_it_is_put_and_encoded(
    text: str, encoded: Callable[[str], str]
) -> None:
    written = encoded(text.format(BESIDE))
    around = f"before ({written}) after" if "\n" not in text else written

    left = Redactor().text(around)

    assert "[redacted: " in left
    assert BESIDE not in left
    assert encoded(BESIDE) not in left
    if "\n" not in text:
        assert left.startswith("before (")
        assert left.endswith(") after")


def test_the_text_around_an_encoded_secret_stays() -> None:
    assert Redactor().text(f'say {{\\"password\\": \\"{BESIDE}\\", \\"n\\": 1}} 100% &amp; done') == (
        'say {\\"password\\": \\"[redacted: Secret Keyword]\\", \\"n\\": 1} 100% &amp; done'
    )


# Options and patterns of one's own


def test_mail_addresses_and_card_numbers_go_by_option() -> None:
    text = "Mail ann.lee@shop.example or pay with 4111 1111 1111 1111, not 4111 1111 1111 1112."
    assert Redactor().text(text) == text

    redactor = Redactor(Redaction.from_environ({"KAIZEN_REDACT": "emails, cards"}))

    assert redactor.text(text) == (
        "Mail [redacted: Mail Address] or pay with [redacted: Card Number], not 4111 1111 1111 1112."
    )
    assert redactor.counts == {"Mail Address": 1, "Card Number": 1}


def test_patterns_of_ones_own_are_counted_by_their_kind() -> None:
    patterns = "Customer Number=CUST-\\d{6}\n\nHost = [a-z]+\\.corp"
    redactor = Redactor(Redaction.from_environ({"KAIZEN_REDACT_PATTERNS": patterns}))

    assert redactor.text("CUST-123456 CUST-12 on db.corp and CUST-654321") == (
        "[redacted: Customer Number] CUST-12 on [redacted: Host] and [redacted: Customer Number]"
    )
    assert redactor.counts == {"Customer Number": 2, "Host": 1}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KAIZEN_REDACT", "emails,phones", "KAIZEN_REDACT holds 'phones'; there are emails and cards"),
        ("KAIZEN_REDACT_PATTERNS", "CUST-123456", "write a kind and an expression"),
        ("KAIZEN_REDACT_PATTERNS", "Kind]=a", "write a kind and an expression"),
        (
            "KAIZEN_REDACT_PATTERNS",
            "Kind=(a",
            "the pattern 'Kind' of KAIZEN_REDACT_PATTERNS is no expression",
        ),
        ("KAIZEN_REDACT_PATTERNS", "Kind=a*", "matches the empty text"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        Redaction.from_environ({name: value})


def test_a_pattern_that_takes_too_long_fails_the_trace_and_lets_nothing_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redact, "_TIMEOUT_S", 0.05)
    slow = Redaction.from_environ({"KAIZEN_REDACT_PATTERNS": "Slow=(?:a|aa)+b(?=c)"})
    question = {"role": "user", "content": "a" * 60 + "b"}

    source = ListedSource([])
    ended = prepare_trace(
        trace(llm("1", [question], "ok")), Judge(source, None), include_errors=True, redaction=slow
    )

    assert isinstance(ended, UnpreparedTrace)
    assert (ended.state, ended.reason[:40]) == ("failed", "the pattern 'Slow' of KAIZEN_REDACT_PATT")


# Secrets made for the benchmark


def test_the_kinds_and_places_of_the_benchmark_are_found() -> None:
    made = [*samples(seed=1), *formats("building"), *formats("reporting")]
    missed = [sample.text for sample in made if sample.secret in Redactor().text(sample.text)]

    assert len(made) >= 150
    # Not which: the misses of the reporting half are not to be looked at.
    assert len(missed) <= len(made) // 20
