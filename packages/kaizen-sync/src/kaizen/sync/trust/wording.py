"""Expressions for prompt injection in English, for texts that are `normal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re

_EXCERPT = 60
_INSTRUCTIONS = (
    r"(?:instructions?|prompts?|directives?|guidelines|orders|commands?|rules|context|polic(?:y|ies)"
    r"|constraints"
    r"|guard ?-?rails|restrictions|programming|directions|training|tasks?)"
)
_FORMER = (
    r"(?:all|any|every|each|the|of|your|my|our|these|those|its|other|and|previous|previously|prior|above"
    r"|earlier"
    r"|preceding|former|foregoing|original|initial|existing|current|system|given|safety|developer|past|old"
    r"|standing"
    r"|everything|stated|received|old|default)"
)
_TELLING = (
    r"(?:previous|previously|prior|above|earlier|preceding|former|foregoing|original|initial|existing|your"
    r"|system"
    r"|safety|developer|past|standing)"
)
_DROP = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget|overrid(?:e|ing|es)|discard(?:ing)?|neglect|bypass(?:ing)?"
    r"|set aside"
    r"|pay no attention to|stop (?:following|obeying)|do not (?:follow|obey)|don'?t (?:follow|obey)|void"
    r"|supersedes?"
    r"|replaces?|cancels?|erase|drop|violate|disobey|takes? precedence over)"
)
_SEP = r"[^\w.:;!?]{1,3}"
_READER = (
    r"(?:ai|a\.i\.|llm|(?:ai|language) model|assistant|agent|chat ?bot|gpt|claude|gemini|bot|copilot"
    r"|summari[sz]er)s?"
)

# Setting instructions aside. `rules` or `policy` alone are everybody's words: it takes "previous" or "your".
OVERRIDING = (
    (
        r"\b(?:ignore|disregard|forget)(?:all|any)?(?:the|of|your|previous|prior|above|earlier){1,4}"
        r"(?:instruction|prompt|rule|guideline)"
    ),
    (
        rf"\b{_DROP}{_SEP}(?:{_FORMER}{_SEP}){{0,4}}?{_TELLING}{_SEP}(?:{_FORMER}"
        rf"{_SEP}){{0,3}}?(?:\w{{1,20}}{_SEP}){{0,1}}?{_INSTRUCTIONS}\b"
    ),
    (
        rf"\b{_DROP}{_SEP}(?:all|any|every)(?:{_SEP}of)?{_SEP}(?:the{_SEP}|these{_SEP}"
        rf"|those{_SEP})?(?:instructions?|prompts?|directives?|guidelines"
        r"|safety|policies|guard ?-?rails|restrictions)\b(?! (?:(?:that|which) )?(?:are |is )?(?:in|from"
        r"|inside"
        r"|found|embedded|contained|within"
        r"|hidden|coming|written)\b)"
    ),
    (
        r"\b(?:ignore|disregard|forget) (?:everything|anything|all) (?:(?:that )?(?:you )?(?:were|was"
        r"|have been"
        r"|had been|has been|above|before"
        r"|said|told|prior|previous\w*|written|you know))"
    ),
    (
        rf"\b(?:the )?(?:above|previous|prior|earlier|former) {_INSTRUCTIONS} (?:are|is|were"
        rf"|was) (?:\w{{1,12}} )?(?:void|obsolete|invalid|cancel\w*"
        r"|revoked|superseded|overridden|outdated|no longer|wrong|a test)"
    ),
    (
        r"\b(?:you are|you[']re) (?:now |from now on )(?:in |a |an |the )?(?:dan\b|unrestricted|jail ?broken"
        r"|developer mode|debug mode|god mode"
        r"|admin|root|free (?:from|of)|no longer (?:bound|restricted|an?)|different|new|evil|unfiltered"
        r"|uncensored|maintenance)"
    ),
    (
        r"\b(?:enter|enable|activate|switch to|you are in|now in) (?:the )?(?:dan|developer|debug|god|admin"
        r"|maintenance|jailbreak|unrestricted|sudo|root)"
        r" mode\b|\b(?:developer|god|dan|jailbreak) mode (?:enabled|on|activated|is)\b|\bjail ?break\b"
        r"|\bdo anything now\b"
    ),
    (
        r"\b(?:new|updated|revised|real|actual|true|hidden|secret|urgent|important|additional|overriding"
        r"|override|priority|special|final|admin\w*"
        r"|emergency) (?:system )?(?:instructions?|prompts?|directives?|orders|system messages?"
        r"|system (?:notice|update|override))(?: for \w{1,20}){0,2} ?[:=\]>—-]"
    ),
    (
        r"\bsystem[ _-](?:override|message|notice|alert|prompt|instruction|update|directive"
        r"|command)s?\b ?[:=\]>—-]|\boverride (?:code|mode|protocol)\b"
    ),
    (
        r"\byour (?:new|real|true|actual|only|updated|primary) (?:task|goal|objective|role|purpose"
        r"|instructions?|job|mission|orders|directive) (?:is|are)\b"
    ),
)
# Keeping from people what is done.
SECRECY = (
    (
        r"\b(?:do not|don'?t|never|without) (?:ever )?(?:tell\w*|inform\w*|notify\w*|alert\w*|warn\w*"
        r"|mention\w*|reveal\w*|disclos\w*|report\w*|show\w*)"
        r"(?: (?:this|it|that|about|any of|anything|to|of)){0,4} ?(?:the |your |a |any )?(?:user|customer"
        r"|operator|human|owner|anyone|anybody|developer|person"
        r"|supervisor|admin\w*)s?\b(?: (?:about|of|that you|what you|this|it)\b| ?[.,;:!)\"'\]]| ?$| and\b)"
    ),
    (
        r"\b(?:hide|conceal|keep) (?:this|it|that|these|them)(?: \w{1,20}){0,4}? from (?:the |your "
        r"|any )?(?:user|customer|operator|human|owner|anyone"
        r"|everyone|developer|reviewer)s?\b|\bkeep (?:this|it|that) (?:a )?(?:secret|hidden|confidential"
        r"|between us)|\bsecretly\b|\bcovertly\b"
    ),
)
# What marks roles in the formats of chats, and what our own prompt writes.
IMITATION = (
    (
        r"<\|? ?/?(?:im_start|im_end|system|user|assistant|endoftext|end_of_turn|eot_id|start_header_id"
        r"|begin_of_text|tool)\|? ?>?\|>?"
        r"|<< ?/?sys ?>>|\[/?inst\]|<start_of_turn>|<end_of_turn>"
    ),
    (
        r"</? ?(?:system|system[-_ ](?:prompt|message|instructions?|override)|developer|admin"
        r"|instructions? override)(?: [^<>]{0,80})?>"
    ),
    r"< ?/ ?run ?>|</?(?:tip|tips|trace|trajectory|run)>",
    (
        r"\[(?:assistant|system|developer|end of the run)\b[^\]\[]{0,60}\]|\[(?:system|developer) (?:message"
        r"|note|prompt)[^\]\[]{0,60}\]"
    ),
    (
        r"(?:#{2} ?|\*\* ?|={3} ?|-{3} ?)(?:new |end of |begin )?(?:system|instructions? ?(?:override"
        r"|for (?:the )?(?:ai|assistant|agent|model))"
        r"|system (?:prompt|message|instructions?)|end of (?:document|data|context|input|transcript"
        r"|conversation))\b ?(?:#|\*\*|=|-|:|prompt|message)"
    ),
    r"\b(?:begin|end|start) (?:of )?(?:system|hidden|secret|admin) (?:prompt|message|instructions?)\b",
)
# Speaking to whoever reads the run, instead of to the agent in it.
ADDRESSING = (
    (
        rf"\b(?:attention|note to|notice to|message (?:to|for)|instructions? (?:to|for)|dear|hey|hello|hi"
        rf"|reminder (?:to|for)|for|to)"
        rf",? (?:the |any |all |every |an? |other |future |automated |ai |fellow ){{0,4}}{_READER}"
        r"(?: (?:reading|processing|that|who|which|agents?|models?|assistants?|system|analy[sz]ing"
        r"|summari[sz]ing|reviewing|evaluating|using)\b"
        r"| ?[:,!—-] ?(?:please |you |when |always |do |never |ignore |add |write |send |from |the |this "
        r"|important))"
    ),
    (
        rf"\b(?:if|when|whenever|since|because|as) (?:you (?:are|[']re)|you[']re) (?:an? "
        rf"|the )?(?:\w{{1,20}} )?{_READER}\b"
    ),
    (
        rf"\b(?:all|any|every|future) (?:ai |llm |language |automated )?{_READER} (?:\w{{1,20}} )?(?:must"
        rf"|should|shall|have to|need to|are required to|are instructed)\b"
    ),
    (
        r"\b(?:when|while|if|before|after) (?:you )?(?:summari[sz]\w*|analy[sz]\w*|review\w*|extract\w*"
        r"|writ\w*"
        r"|generat\w*|learn\w*|produc\w*|distil\w*)"
        r" (?:this|the|a|any|from this|from|your|these)? ?(?:run|trace|trajectory|transcript|conversation|log"
        r"|tips?|lessons?|session)\b"
    ),
    (
        r"\b(?:write|record|save|store|remember|add|include|output|create|produce|emit|generate|learn"
        r"|note)(?: \w{1,20}){0,5}? (?:as|in|into|to|a|an|one|this|the|following|new)"
        r" (?:\w{1,20} ){0,2}?(?:tips?|lessons?(?: learned)?|long.term memory|memory|memories|guidelines?"
        r"|knowledge base|playbook|learned rules?)\b ?"
        r"(?::|that|saying|which|for (?:future|all|other)|to (?:all|every|future)|\"|'|so that|permanently)"
    ),
    (
        r"\b(?:tips?|lessons?|every tip|each tip) (?:you (?:write|produce|give|generate) )?(?:must|should"
        r"|has to|have to|needs? to) (?:always )?(?:say|state|include|contain|tell|instruct|read|be)\b"
    ),
    (
        r"\b(?:(?:future|subsequent) (?:runs?|sessions?|models?)|(?:future|other|next|subsequent|all)"
        r" (?:agents?|ai|assistants?)) (?:must"
        r"|should|will|shall|need|have to|are to|can|may)\b"
    ),
)
# Asking an agent for what it must keep to itself.
EXTRACTING = (
    (
        r"\b(?:reveal|print|repeat|output|show|leak|tell me|give me|send|disclose|paste|display|dump"
        r"|share)(?: \w{1,20}){0,3}? (?:your|the) (?:full |entire |exact |complete )?"
        r"(?:system|initial|hidden|developer|original|secret) (?:prompt|instructions?|message)"
    ),
    (
        r"\b(?:send|post|forward|upload|exfiltrat\w*|e-?mail|leak|transmit|submit|append|include|put|copy"
        r"|pass)(?: [\w.\"'~/]{1,40}){0,8}? (?:api[ _-]?keys?|passwords?|credentials|private keys?"
        r"|access tokens?|secrets|ssh keys?|env(?:ironment)? (?:vars|variables)|\.env|id_rsa|session cookies?"
        r"|conversation|chat history|system prompt)\b(?: \S{1,40}){0,4}? (?:to|at|via|into|as) (?:\w{2,10}://"
        r"|[\w.+-]{1,64}@|attacker|http|this"
        r" (?:url|address|server|endpoint)|the (?:following|\w{1,20} (?:parameter|argument|field)|url|server"
        r"|endpoint|web ?hook))"
    ),
    r"\bread (?:the )?(?:file )?[\"'`]?(?:~|\$home|/root|/home/\w{1,20})/\.(?:ssh|aws|cursor|config|env)",
)


def excerpt(match: re.Match[str]) -> str:
    """Return the match with a few words around it, for a person to read."""
    start = max(match.start() - 10, 0)
    words = match.string[start : match.end() + 20]
    words = words if len(words) <= 2 * _EXCERPT else f"{words[:_EXCERPT]} ... {words[-_EXCERPT:]}"
    return "".join(c if c.isprintable() and c != "'" else " " for c in words).strip()
