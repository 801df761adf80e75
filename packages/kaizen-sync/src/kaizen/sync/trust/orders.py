"""Find orders that no tip may give its reader, in texts that are `normal`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from kaizen.sync.trust.hidden import hidden_in_tip
from kaizen.sync.trust.languages import OVERRIDING_ABROAD, REVEALING_ABROAD, WEAKENING_ABROAD
from kaizen.sync.trust.negation import is_forbidden, is_ruled_out
from kaizen.sync.trust.normal import decoded, normal
from kaizen.sync.trust.scanning import scanner
from kaizen.sync.trust.wording import IMITATION, OVERRIDING, SECRECY, excerpt

FETCHES = "it tells to run or fetch something from elsewhere"
WEAKENS = "it tells to weaken a permission or a check"
CREDENTIALS = "it tells to reveal or use a credential"
OVERRIDES = "it tells to set instructions aside"
CONTACTS = "it names an address to contact"

# Up to so many words of the same sentence in between.
_GAP = r"(?:[^\w.:;!?]{1,3}\w{1,30}){0,4}?[^\w.:;!?]{1,3}"
_COMMON_WORD = (
    r"(?:the|it|its|them|this|that|these|a|an|all|any|each|every|missing|required|needed|to|and|or|before"
    r"|after"
    r"|first|in|into|with|for|from|if|only|when|once|again|at|as|on|then|via|is|was|has|dependenc\w*"
    r"|package\w*"
    r"|requirement\w*|your|fail\w*|error\w*|output\w*|command\w*|step\w*|instead)\b"
)


class Rule(NamedTuple):
    """An expression that finds an order, and a check whether the words before it make it harmless."""

    reason: str
    expression: str
    is_harmless: Callable[[str, int], bool] | None = None


_FETCHING = (
    r"\b[a-z][a-z0-9+.-]{1,15}+://[^\s\"'`]|\bhxxps?:|\bwww\.\w|\bjavascript:|\bdata:[a-z]+/|\\\\\w+\\",
    r"\b(?!127\.0\.0\.1|0\.0\.0\.0)(?:\d{1,3}\.){3}\d{1,3}\b(?!\.)",
    # Without a path only where nothing else ends so: java.io and order.info are no addresses.
    (
        r"\b(?!asp\.net|vb\.net)(?:[a-z0-9][a-z0-9-]{0,62}+\.){1,5}"
        r"(?:(?:com|net|org|dev|xyz|ru|cn|biz|top|site|online|cloud|link|click|ly|eu|uk|tk|onion|example|evil"
        r"|test"
        r"|invalid)(?![\w.(-])|(?:io|co|app|ai|me|de|fr|info|sh|gg|in|us|tv|cc|ws|page)/\w)"
    ),
    r"\w(?:\[\.\]|\(\.\)|\[dot\]|\(dot\)| dot )(?:com|net|org|io|dev|ru|cn|xyz|example|co)\b",
    (
        r"(?:\||;|&&|>) ?(?:sudo )?(?:ba|z|da|k|fi|c)?sh\b(?![\w.])|\| ?(?:sudo )?(?:python3?|perl|ruby"
        r"|node|php"
        r"|powershell|pwsh|iex)\b"
    ),
    (
        r"\b(?:iwr|iex|invoke-webrequest|invoke-expression|invoke-restmethod|certutil|bitsadmin"
        r"|start-bitstransfer"
        r"|mshta|regsvr32)\b"
    ),
    r"\b(?:curl|wget|aria2c|scp|rsync|ftp|telnet|ncat|netcat|nc) (?:-{1,2}[\w-]+ |\$|\"|'|[\w.-]+[/:@])",
    r"\b(?:bash|sh|zsh|source|eval)\b ?(?:-c )?[\"']?(?:<\(|\$\(|`)(?:curl|wget)",
    (
        rf"\b(?:pip3?|pipx|uv|uvx|npm|npx|pnpm|yarn|gem|cargo|brew|apt|apt-get|conda|poetry|bun|go)"
        rf" (?:pip )?(?:install|add|get|i|dlx|run|exec) (?:--?(?!e |r |editable |requirement "
        rf"|upgrade pip)[\w-]+(?: |=))"
        rf"{{0,3}}[\"'`]?(?!-|\.|{_COMMON_WORD})[\w@][\w@/.=<>~\[\]-]+"
    ),
    r"\b(?:npx|uvx|bunx) (?:-{1,2}\w+ )?(?!the |it |and |to |is )[\w@][\w@/.-]+",
    (
        r"--(?:extra-)?index-url|--registry\b|\bgit\+|\bgit clone\b|\bdocker (?:run|pull)\b|\bhelm (?:install"
        r"|repo add)\b"
    ),
    (
        rf"\b(?:download|fetch|retrieve|pull|load|import){_GAP}(?:and|then)[ ,]{{1,3}}(?:then )?(?:run"
        rf"|execut\w+|install"
        r"|launch|open|source|eval\w*|follow|apply)\b"
    ),
    (
        rf"\b(?:run|execute|eval|evaluate|install|launch){_GAP}(?:script|code|commands?|binary|payload"
        rf"|program"
        rf"|executable|installer|plug-?in|extension|attachment){_GAP}(?:from|found|given|shown|listed"
        rf"|contained"
        rf"|returned"
        r"|embedded|sent|attached|inside|linked|hosted|provided|suggested) ?(?:in|by|at|on|from|with)?"
        r" (?:the "
        r"|an? |its )?"
        r"(?:\w{1,20} )?(?:page|web ?site|site|issue|comment|e?-?mail|message|result|response|ticket|readme"
        r"|link|url|file"
        r"|document|server|internet|web|gist|repo\w*|forum|post|chat|attachment)"
    ),
    (
        rf"\b(?:follow|do|obey|carry out|execute|apply){_GAP}(?:instructions?|steps|commands?|orders"
        rf"|directions)"
        r" (?:\w{1,20} )?(?:at|on|in|from|of|behind) (?:the |this |that |its |an? )?(?:\w{1,20} )?(?:page"
        r"|web ?site|site"
        r"|link|gist|url|e?-?mail|issue|comment|ticket|attachment|document|pdf|image|tool (?:result"
        r"|description"
        r"|output))"
    ),
    (
        r"\b(?:decode|decrypt|deobfuscate|unpack|base64)\b[^.;!?]{0,40}?\b(?:run|execut\w+|eval\w*|follow"
        r"|obey"
        r"|apply)\b"
        r"|\bbase64 (?:-d|--decode)\b|\beval\(|\bexec\(|\bos\.system\(|\bpython3? -c\b"
    ),
)
_WEAKENED = (
    r"(?:tls|ssl|https|certificates?|certs?|signatures?|sandbox\w*|guard ?-?rails?|authenticat\w*"
    r"|authori[sz]ation"
    r"|auth|verification|verify|identity|2fa|mfa|two.factor|captcha|permissions?|access.controls?|acls?"
    r"|firewalls?"
    r"|anti-?virus|security|safety|safeguards?|approvals?|confirmations?|consent|content.filters?|moderation"
    r"|compliance|csrf|cors|encryption|policy|policies|human.in.the.loop|protections?|restrictions?)"
    r"\b(?!'?s? (?:errors?|failures?|issues?|problems?|messages?|prompts?|exceptions?))"
)
_STRONG = (
    r"(?:disabl(?:e|es|ed|ing)|turn(?:ing)? off|switch(?:ing)? off|bypass(?:es|ing)?|circumvent(?:ing)?"
    r"|deactivat(?:e|ing)"
    r"|evad(?:e|ing)|skip(?:s|ping)?|get(?:ting)? around|suppress(?:ing)?|weaken(?:ing)?|loosen(?:ing)?"
    r"|relax(?:ing)?"
    r"|defeat(?:ing)?|subvert(?:ing)?|opt out of|waiv(?:e|ing)|forgo|do away with)"
)
_WEAK = (
    r"(?:ignor(?:e|ing)|remov(?:e|ing)|drop(?:ping)?|lower(?:ing)?|omit(?:ting)?|overrid(?:e|ing)"
    r"|dismiss(?:ing)?)"
)
_STRONGLY_WEAKENED = (
    r"(?:tls|ssl|certificates?|sandbox\w*|guard ?-?rails?|2fa|mfa|firewalls?|anti-?virus|security|safety"
    r"|safeguards?"
    r"|approvals?|confirmations?|authenticat\w*|authori[sz]ation|identity (?:check|verification)\w*"
    r"|access.controls?"
    r"|human.in.the.loop|content.filters?|moderation)\b(?! (?:errors?|failures?|issues?|problems?|messages?))"
)
_ASKED = (
    r"(?:confirm\w*|approv\w*|permission|consent|verif\w*|authenticat\w*|authori[sz]\w*|review\w*"
    r"|supervision|oversight"
    r"|sign-?off)"
)
_WEAKENING = (
    (
        r"\bchmod (?:-\w+ )*(?:0?[0-7]?[0-7][0-7][2367]|(?:a|o|ugo)?\+\w*[ws]\w*|u\+s|[2467][0-7]{3})\b"
        r"|\bworld-?(?:writ|read)able\b"
        r"|\b0o?777\b"
    ),
    r"\b(?:sudo|doas|runas|pkexec)\b|\bsu -|\b(?:as|become) (?:root|administrator|superuser|admin)\b",
    (
        r"(?<![\w-])--(?:no-verify|force\b(?!-reinstall)|privileged|no-sandbox|insecure|disable-[\w-]+"
        r"|no-check[\w-]*"
        r"|dangerously[\w-]*|yolo|trusted-host|no-gpg-check\w*|no-auth\w*|unsafe[\w-]*|full-auto|auto-approve"
        r"|bypass[\w-]*"
        r"|no-preserve-root|ignore-(?:certificate|ssl|tls)[\w-]*|allow-(?:root|unauth|unsafe|all"
        r"|insecure)[\w-]*"
        r"|skip-(?:verif|check|auth|ssl|tls|validation|hooks?|review|sign)[\w-]*|trust[\w-]*)"
    ),
    (
        r"\bgit push (?:\S{1,40} ){0,3}-f\b|\bgit commit (?:\S{1,40} ){0,3}-n\b"
        r"|\bcurl (?:\S{1,40} ){0,6}-[a-z]*k\b|\brm -(?:rf|fr)\b"
    ),
    (
        r"\bverify\w*[\"']? ?[=:] ?(?:false|none|0|no)\b|\bcert_none\b|check_hostname[\"']? ?[=:] ?false"
        r"|rejectunauthorized\W{1,4}(?:false|0)|node_tls_reject_unauthorized|stricthostkeychecking[ =]no"
        r"|_create_unverified_context|sslverify|pythonhttpsverify|insecureskipverify|trustallcert"
        r"|setenforce 0"
        r"|\bufw disable|\biptables -f|permitrootlogin yes|nopasswd|0\.0\.0\.0/0|administratoraccess"
        r"|\bgrant all\b"
        r"|public-read|seccomp[=:]unconfined|allow_dangerous\w*|\bgit_ssl_no_verify|safe_mode\W{1,4}(?:false"
        r"|off|0)"
    ),
    (
        r"\b(?:auth\w*|security|sandbox\w*|require_(?:approval|confirmation|auth\w*)|approval\w*"
        r"|confirm(?:ation|ed)?"
        r"|human_(?:input|review)\w*|guardrails?|moderation|policy_check\w*|ssl|tls)[\"'`]? ?[=:] ?[\"'`]?"
        r"(?:false|off|none|0|never|no|disabled|skip)\b"
    ),
    rf"\b{_STRONG}{_GAP}{_WEAKENED}",
    rf"\b{_WEAK}{_GAP}{_STRONGLY_WEAKENED}",
    (
        rf"\b{_WEAKENED} (?:checks? )?(?:can|may|should|must|need not|needs? to) (?:safely )?be (?:{_STRONG}"
        r"|ignored|skipped|disabled|bypassed|omitted|turned off)"
    ),
    rf"\bturn(?:ing)? (?:\w{{1,20}} ){{0,2}}{_WEAKENED} (?:checks? |verification )?off\b",
    (
        rf"\b(?:do not|don'?t|never|no need to|needn'?t|stop|need not|should not|must not|no longer)"
        rf" (?:\w{{1,12}} )?(?:ask\w*|wait\w*|request\w*|requir\w*|prompt\w*|seek\w*"
        rf"|bother\w*)(?: \w{{1,20}}){{0,5}}? {_ASKED}"
    ),
    (
        r"\b(?:do not|don'?t|never|no need to|stop|needn'?t|need not|(?:do not|don'?t"
        r"|never) bother (?:to |with )?)"
        r" ?(?:verify\w*|authenticat\w*|validat\w*|check\w*|confirm\w*)(?: \w{1,20}){0,3}? (?:identity"
        r"|signatures?"
        r"|certificates?|permissions?|ownership|id|who)\b"
    ),
    (
        r"\bauto(?:matically)?[ -]?(?:approv|accept|confirm|grant|authori[sz])\w*|\balways (?:approve|grant"
        r"|authori[sz]e|say yes)\b"
        r"|\b(?:approve|grant|accept|allow|issue|authori[sz]e)(?: \w{1,20}){0,4}? (?:blindly|unconditionally"
        r"|no questions asked"
        r"|regardless of (?:the )?(?:policy|eligibility|rules?))|\bno questions asked\b"
    ),
    (
        rf"\b(?:grant|give|assign|request|elevate|escalate|add|obtain|acquire){_GAP}(?:admin\w*|root|owner"
        rf"|full"
        rf"|unrestricted"
        r"|elevated|superuser|write) (?:access|rights?|permissions?|privileges?|role)"
    ),
    (
        r"\b(?:make|set|mark|switch|publish)(?: \w{1,20}){1,4}? (?:public|publicly \w+)\b(?! (?:api"
        r"|method|key"
        r"|attribute|field))"
    ),
)
_UNASKED = (
    rf"\bwithout (?:[\w']{{1,20}} ){{0,4}}?(?:{_ASKED}|asking|prompting|informing|telling|notifying"
    rf"|questions?)\b"
    r"(?! (?:errors?|failures?|code|header|token))"
)
_CREDENTIAL = (
    r"(?:passwords?|passphrases?|passcodes?|api[ _-]?keys?|secrets?|access[ _-]?(?:tokens?|keys?)|(?:auth"
    r"|bearer|refresh)"
    r"[ _-]?tokens?|tokens?|credentials?|private[ _-]?keys?|ssh[ _-]?keys?|session[ _-](?:cookies?|ids?"
    r"|tokens?)|cookies"
    r"|one-?time (?:codes?|passwords?)|otps?|cvvs?|cvc|pin codes?|security codes?|card numbers?"
    r"|social security numbers?"
    r"|ssns?|environment variables|env vars|seed phrases?|recovery (?:codes?|phrases?)|system prompt"
    r"|login data)"
)
_AUDIENCE = (
    r"(?:repl(?:y|ies)|answers?|responses?|outputs?|messages?|users?|chats?|comments?|commits?|logs?|files?"
    r"|issues?|notes?"
    r"|customers?|callers?|requesters?|anyone|everyone|tickets?|e?-?mails?|conversation|console|terminal"
    r"|stdout|summary"
    r"|description|query|url|whoever|channel|attacker|public)"
)
_SHOWING = (
    r"(?:print|echo|log|show|display|output|send|include|tell|write|attach|append|put|embed|quote|repeat"
    r"|mention|copy"
    r"|read out|give|return|add|state|enter|report|dump)"
)
_REVEALING = (
    (
        rf"\b(?:reveal|disclos|leak|expos|exfiltrat|divulg|broadcast|smuggl|surrender|hand over)(?:e|es|ing"
        rf"|ed)?{_GAP}{_CREDENTIAL}\b"
    ),
    (
        rf"\b(?:shar|publish|post|upload|paste|forward|dump|transmit|submit|e-?mail)(?:e"
        rf"|ing)?{_GAP}{_CREDENTIAL}\b"
        r"(?! (?:field|parameter|argument|header))"
    ),
    (
        rf"\b{_SHOWING}{_GAP}{_CREDENTIAL}\b{_GAP}(?:in|into|to|with|for"
        rf"|as part of) (?:\w{{1,20}} ){{0,2}}?{_AUDIENCE}\b"
    ),
    (
        rf"\b{_SHOWING} (?:the |a |any )?(?:user|customer|caller|everyone|anyone|me|them|us|requester)"
        rf"(?:[^\w.:;!?]{{1,3}}\w{{1,30}}){{0,3}}? (?:\w{{1,20}} )?{_CREDENTIAL}\b"
    ),
    (
        r"(?:~|\$home|\bhome/\w+|/root)?/?(?<![\w.])\.(?:ssh|aws|gnupg|kube|docker|netrc|pgpass|npmrc|pypirc"
        r"|git-credentials)\b"
        r"|\bid_(?:rsa|ed25519|ecdsa|dsa)\b|/etc/(?:shadow|passwd|sudoers)|(?<![\w.])\.env\b(?!\.(?:example"
        r"|sample|template))"
        r"|\bprintenv\b|\$\{?[a-z_]{0,30}(?:secret|token|passw|api_?key)|169\.254\.169\.254|metadata\.google"
        r"|os\.environ|process\.env|\bkeychain\b|/proc/self/environ"
    ),
    (
        rf"\b(?:us(?:e|ing)|log(?:ging)? ?in (?:with|as)|sign in (?:with|as)|authenticat\w+ (?:with|as|using)"
        rf"|connect (?:with|as)"
        rf"|enter|type|supply|provide|try){_GAP}(?:admin\w*|root|default|hard-?coded|shared|leaked|found"
        rf"|exposed|discovered"
        r"|master|service account|another (?:user|customer|person)'?s?|other (?:users?|customers?)'?s?"
        r"|someone(?: else)?[']s"
        r"|production|prod|owner'?s|manager'?s|supervisor[']s master|backdoor|maintenance|emergency"
        r"|stolen|previous"
        rf" (?:user|customer)'?s){_GAP}{_CREDENTIAL}\b"
    ),
    (
        rf"\b{_CREDENTIAL}(?: is| are| of|:| =|=| to)?"
        rf" ?[\"'`]?(?=[\w!@#$%^&*-]{{0,40}}\d)(?=[\w!@#$%^&*-]{{0,40}}[a-z])"
        r"(?!step\d|page\d|token\d)[\w!@#$%^&*-]{6,64}+(?!\()"
    ),
    r"\[redacted: ",
)
_CONTACTING = (
    r"(?<![\w.+-])[\w.+-]{1,64}+@[\w-]{1,63}+(?:\.[\w-]{1,63}+)+|\b(?:mailto|tel|sms):",
    r"\b\w{2,30} ?(?:\(at\)|\[at\]| at ) ?\w{2,30} ?(?:\(dot\)|\[dot\]| dot ) ?\w{2,10}\b",
    r"(?<![\w+])(?:\+|00)\d[\d ().-]{6,18}\d\b",
    (
        r"\b(?:call|phone|dial|text|sms|whatsapp|ring|fax|reach)\b[^.;!?\d#]{0,30}(?<![#\w=])\d(?:["
        r" ().-]{0,2}\d){6,14}\b"
    ),
    (
        r"\b(?:contact|message|dm|telegram|follow|ping|notify|tweet|write to|reach out to|reply to|cc|email"
        r"|text|slack|skype"
        r"|signal|whatsapp|discord|tag|ask|inform|report to|send \w{1,20}"
        r" to)\b[^.;!?]{0,30}?(?<![\w`@])@[a-z_]\w{2,}"
    ),
    (
        r"\b(?:send|post|forward|upload|submit|report|leak|copy|transmit|exfiltrate|cc|bcc|deliver|mirror"
        r"|back ?up|sync)\b"
        r"(?:[^\w.:;!?]{1,3}\w{1,30}){0,8}?[^\w.:;!?]{1,3}(?:web ?hooks?|paste ?bin|gist|telegram"
        r"|discord|whatsapp|third.part(?:y|ies)"
        r"|external (?:server|address|site|service|account|endpoint|party)|ftp|dropbox|my (?:server|inbox"
        r"|e?-?mail|address"
        r"|account)|remote (?:server|host|endpoint)|collector|outside address|partner'?s? (?:server|inbox"
        r"|address))\b"
    ),
    (
        r"\b(?:0x[0-9a-f]{40}|bc1[a-z0-9]{20,60})\b|\b(?:pay|transfer|wire|send"
        r"|refund)\b[^.;!?]{0,50}\b(?:wallet|iban|bitcoin"
        r"|btc|crypto\w*|ethereum)\b"
    ),
)
_SETTING_ASIDE = (
    (
        r"\b(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing)|set aside|neglect|stop following"
        r"|stop obeying|break out of"
        rf"|take precedence over|supersede){_GAP}(?:instructions?|system (?:prompt|message)|developer message"
        rf"|guidelines|polic(?:y|ies)"
        r"|directives?|guard ?-?rails|(?:your|all|company|safety|previous|prior|earlier|system|ethical|its"
        r"|these|other|business) rules)\b"
        r"(?! (?:(?:that|which) )?(?:are |is )?(?:in|from|inside|found|embedded|contained|within|hidden"
        r"|coming"
        r"|written|number"
        r"|field|id)\b)"
    ),
    (
        rf"\b(?:do not|don'?t|never) (?:follow|obey|comply with|adhere to){_GAP}(?:instructions?"
        rf"|system (?:prompt|message)|guidelines"
        r"|polic(?:y|ies)|rules)\b(?! (?:(?:that|which) )?(?:are |is )?(?:in|from|inside|found|embedded"
        r"|contained|within|hidden"
        r"|coming|written)\b)"
    ),
    (
        r"\b(?:repeat|copy|add|write|store|spread|propagate|pass on) this (?:tip|text|sentence|line|lesson"
        r"|instruction)\b"
    ),
    (
        r"\b(?:you are|you[']re|act as) (?:now )?(?:in )?(?:dan|root|unrestricted|jailbroken|developer mode"
        r"|debug mode|god mode)\b"
    ),
)

_RULES = (
    *(Rule(FETCHES, each, is_forbidden) for each in _FETCHING),
    *(Rule(WEAKENS, each, is_forbidden) for each in (*_WEAKENING, *WEAKENING_ABROAD)),
    Rule(WEAKENS, _UNASKED, is_ruled_out),
    *(Rule(CREDENTIALS, each, is_forbidden) for each in (*_REVEALING, *REVEALING_ABROAD)),
    *(Rule(OVERRIDES, each, is_forbidden) for each in (*_SETTING_ASIDE, *OVERRIDING, *OVERRIDING_ABROAD)),
    *(Rule(OVERRIDES, each, is_forbidden) for each in SECRECY),
    *(Rule(OVERRIDES, each) for each in IMITATION),
    *(Rule(CONTACTS, each, is_forbidden) for each in _CONTACTING),
)


def dangers(texts: Iterable[str]) -> list[str]:
    """Return why a tip with these texts is dangerous: one reason of each kind, with the words found."""
    texts = list(texts)
    found: dict[str, str] = {}
    if hidden := next(filter(None, map(hidden_in_tip, texts)), ""):
        found[hidden] = hidden
    whole = " ".join(texts)
    for text in (whole, *decoded(whole)):
        for reason, words in _orders(normal(text)):
            found.setdefault(reason, f"{reason}: '{words}'")
    return list(found.values())


def _orders(text: str) -> Iterator[tuple[str, str]]:
    for number, match in scanner(tuple(rule.expression for rule in _RULES)).matches(text):
        rule = _RULES[number]
        if rule.is_harmless is None or not rule.is_harmless(text, match.start()):
            yield rule.reason, excerpt(match)
