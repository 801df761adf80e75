"""Made-up secrets of many kinds in many places, made anew at every run: the repository holds none."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

LOWER = string.ascii_lowercase + string.digits
UPPER = string.ascii_uppercase + string.digits
ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
URLSAFE = ALNUM + "-_"


class Sample(NamedTuple):
    """A text and the part of it that must be gone."""

    kind: str
    place: str
    text: str
    secret: str


def made(rng: random.Random, alphabet: str, length: int) -> str:
    """Random characters, a digit and a letter of either case among them where the alphabet has such."""
    must = [rng.choice(part) for part in (string.digits, string.ascii_lowercase, string.ascii_uppercase)]
    chars = [c for c in must if c in alphabet][:length]
    chars += [rng.choice(alphabet) for _ in range(length - len(chars))]
    rng.shuffle(chars)
    return "".join(chars)


def _jwt(rng: random.Random) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(json.dumps({"sub": made(rng, LOWER, 12)}).encode()).decode().rstrip("=")
    return f"{header}.{body}.{made(rng, URLSAFE, 43)}"


def _pem(rng: random.Random) -> str:
    name = rng.choice(["RSA ", "EC ", "OPENSSH ", ""])
    lines = "\n".join(made(rng, ALNUM + "+/", 64) for _ in range(4))
    return f"-----BEGIN {name}PRIVATE KEY-----\n{lines}\n-----END {name}PRIVATE KEY-----"


# Secrets that are known by what they look like, wherever they stand.
SHAPED: dict[str, Callable[[random.Random], str]] = {
    "openai": lambda r: f"sk-proj-{made(r, URLSAFE, 74)}",
    "anthropic": lambda r: f"sk-ant-api03-{made(r, URLSAFE, 93)}",
    "aws key id": lambda r: f"AKIA{made(r, UPPER, 16)}",
    "github": lambda r: f"gh{r.choice('pousr')}_{made(r, ALNUM, 36)}",
    "github fine": lambda r: f"github_pat_{made(r, ALNUM, 22)}_{made(r, ALNUM, 59)}",
    "gitlab": lambda r: f"glpat-{made(r, URLSAFE, 20)}",
    "google": lambda r: f"AIza{made(r, URLSAFE, 35)}",
    "google oauth": lambda r: f"GOCSPX-{made(r, URLSAFE, 28)}",
    "google access": lambda r: f"ya29.{made(r, URLSAFE, 120)}",
    "hugging face": lambda r: f"hf_{made(r, ALNUM, 34)}",
    "slack": lambda r: f"xoxb-{made(r, string.digits, 12)}-{made(r, string.digits, 12)}-{made(r, ALNUM, 24)}",
    "slack app": lambda r: f"xapp-1-A{made(r, UPPER, 10)}-{made(r, string.digits, 12)}-{made(r, HEX, 64)}",
    "slack hook": lambda r: (
        f"https://hooks.slack.com/services/T{made(r, UPPER, 8)}/B{made(r, UPPER, 8)}/{made(r, ALNUM, 24)}"
    ),
    "stripe": lambda r: f"{r.choice(['sk', 'rk'])}_live_{made(r, ALNUM, 24)}",
    "stripe hook": lambda r: f"whsec_{made(r, ALNUM, 32)}",
    "twilio": lambda r: f"SK{made(r, HEX, 32)}",
    "sendgrid": lambda r: f"SG.{made(r, URLSAFE, 22)}.{made(r, URLSAFE, 43)}",
    "telegram": lambda r: f"{r.randint(10**8, 10**10 - 1)}:AA{made(r, URLSAFE, 33)}",
    "npm": lambda r: f"npm_{made(r, ALNUM, 36)}",
    "pypi": lambda r: f"pypi-AgEIcHlwaS5vcmc{made(r, URLSAFE, 90)}",
    "discord": lambda r: f"M{made(r, ALNUM, 23)}.{made(r, URLSAFE, 6)}.{made(r, URLSAFE, 27)}",
    "discord hook": lambda r: (
        f"https://discord.com/api/webhooks/{r.randint(10**17, 10**18)}/{made(r, URLSAFE, 68)}"
    ),
    "jwt": _jwt,
    "pem": _pem,
    "mailchimp": lambda r: f"{made(r, HEX, 32)}-us{r.randint(1, 20)}",
    "shopify": lambda r: f"shpat_{made(r, HEX, 32)}",
    "digitalocean": lambda r: f"dop_v1_{made(r, HEX, 64)}",
    "databricks": lambda r: f"dapi{made(r, HEX, 32)}",
    "linear": lambda r: f"lin_api_{made(r, ALNUM, 40)}",
    "notion": lambda r: f"ntn_{made(r, ALNUM, 46)}",
    "groq": lambda r: f"gsk_{made(r, ALNUM, 52)}",
    "replicate": lambda r: f"r8_{made(r, ALNUM, 37)}",
    "perplexity": lambda r: f"pplx-{made(r, ALNUM, 48)}",
    "xai": lambda r: f"xai-{made(r, ALNUM, 80)}",
    "vault": lambda r: f"hvs.{made(r, URLSAFE, 95)}",
}
SHAPED_PLACES = {
    "json": '{{"value": "{}", "n": 1}}',
    "env line": "export X={}\nexport Y=1",
    "shell": "$ run --with {} --verbose",
    "yaml": "config:\n  value: {}\n  other: 1",
    "log": "2026-01-01 12:00:00 INFO client started with {} (ok)",
    "code": "client = Client('{}')",
    "sentence": "The key you asked for is {}, keep it safe.",
    "url": "https://api.acme-corp.net/v1?x=1&v={}&y=2",
    "escaped json": '{{"arguments": "{{\\"value\\": \\"{}\\"}}"}}',
}

# Secrets that only their place tells.
PLAIN: dict[str, Callable[[random.Random], str]] = {
    "password": lambda r: made(r, ALNUM + "!%^*", 14),
    "hex": lambda r: made(r, HEX, 40),
    "base64": lambda r: made(r, ALNUM + "+/", 40),
    "uuid": lambda r: str(uuid.UUID(int=r.getrandbits(128))),
    "words": lambda r: f"correct-horse-{r.randint(10, 99)}-staple",
}
PLAIN_PLACES = {
    "json": '{{"password": "{}"}}',
    "json key": '{{"client_secret": "{}", "id": 3}}',
    "env line": "DB_PASSWORD={}",
    "env quoted": 'export API_KEY="{}"',
    "aws secret": "aws_secret_access_key = {}",
    "yaml": "auth:\n  api_key: {}\n",
    "code": "requests.get(host, auth_token='{}')",
    "header": "Authorization: Bearer {}",
    "key header": "x-api-key: {}",
    "token header": "X-Auth-Token: {}",
    "curl": "curl -H 'Authorization: Bearer {}' localhost",
    "query": "GET /v1/items?api_key={}&page=2",
    "query token": "GET /v1/items?access_token={}&page=2",
    "postgres": "postgresql://app:{}@db.internal:5432/shop",
    "redis": "redis://:{}@cache:6379/0",
    "escaped json": '{{"arguments": "{{\\"password\\": \\"{}\\"}}"}}',
    "shell option": "mysql --user root --password={} shop",
    "shell option apart": "tool login --password {} --host h",
    "cookie": "Cookie: theme=dark; sessionid={}; lang=en",
    "set-cookie": "Set-Cookie: session_token={}; Path=/; HttpOnly",
    "ini": "[db]\npasswd = {}\nuser = app",
    "python dict": "{{'secret_key': '{}', 'debug': True}}",
    "xml": "<password>{}</password>",
    "log": "login with password: {} succeeded",
    "sentence": "My password is {} and I cannot log in.",
    "netrc": "machine h login app password {}",
    "basic": "-u app:{} (curl)",
}
# An `@` or a `/` ends what a URL can hold as a password.
_NOT_IN_URLS = {"base64"}


def samples(seed: int) -> Iterator[Sample]:
    """Every kind in every place that it can stand in."""
    rng = random.Random(seed)
    for kinds, places in ((SHAPED, SHAPED_PLACES), (PLAIN, PLAIN_PLACES)):
        for kind, make in kinds.items():
            for place, template in places.items():
                if kind in _NOT_IN_URLS and place in ("postgres", "redis"):
                    continue
                secret = make(rng)
                written = secret.replace("\n", "\\n") if "json" in place else secret
                yield Sample(kind, place, template.format(written), written)
