"""Families that are kept out of development: nothing but the benchmark may learn from them.

Their tools, wordings, kinds of rules and styles of errors are others than those in `development`.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from kaizen.demo.world.family import (
    Family,
    ToolRule,
    act,
    call,
    follows,
    is_value,
    look_up,
    matches,
    number,
    prepare,
)

if TYPE_CHECKING:
    import random

    from kaizen.demo.world.family import Arguments, State, Values

_SERVICES = ("checkout", "search", "mailer", "gateway", "reports", "thumbnails")
_STREETS = ("Lindenweg", "Quai Nord", "Rua Nova", "Mill Lane", "Via Roma")


def _memory(chosen: random.Random) -> Values:
    size = chosen.choice((256, 384, 512, 768))
    return {
        "service": chosen.choice(_SERVICES),
        "size": size,
        "spoken": f"{size} MB",
        "quantity": f"{size}Mi",
    }


# A suffix for a unit, as cluster schedulers want it.
MEMORY_QUANTITY = Family(
    name="memory_quantity",
    vary=_memory,
    tasks=(
        "$service runs out of memory all the time; a limit of $spoken should do, can you raise it?",
        "New memory limit for $service, effective now: $spoken",
    ),
    tools=(
        act("patch_memory_limit", "Patch the memory limit of a deployment.", "deployment limit"),
        look_up("top", "Show what the deployments use.", "", gives={"cpu": "38%"}),
        act("scale", "Scale a deployment.", "deployment replicas:number"),
    ),
    plan=(call("patch_memory_limit", deployment="service", limit="spoken"),),
    rule=ToolRule(
        tool="patch_memory_limit",
        obeyed=matches("limit", r"\d+(Ki|Mi|Gi)"),
        error='Error from server (BadRequest): quantities must end in Ki, Mi or Gi without a space: "$limit"',
        lesson=r"\bMi\b|\dMi\b",
        fix={"limit": "quantity"},
    ),
)


def _article(chosen: random.Random) -> Values:
    return {
        "article": f"kb/{chosen.choice(_SERVICES)}",
        "line": f"Call {chosen.randrange(1_000, 9_999)} for help.",
        "etag": f"{chosen.randrange(16**7, 16**8):x}",
    }


# Optimistic locking: the token comes from a read, and the error names only the header.
VERSION_TOKEN = Family(
    name="version_token",
    vary=_article,
    tasks=(
        "Append to $article: $line",
        'There\'s a line missing at the end of $article, namely "$line". Could you append it?',
    ),
    tools=(
        act("append_line", "Append a line to an article.", "article line if_match?", free="line"),
        look_up(
            "read_article",
            "Read an article.",
            "article",
            finds={"article": "article"},
            gives={"article": "article", "etag": "etag", "lines": "12"},
        ),
        act("unpublish", "Take an article offline.", "article"),
    ),
    plan=(call("append_line", article="article", line="line"),),
    rule=ToolRule(
        tool="append_line",
        obeyed=is_value("if_match", "etag"),
        error='{"errors": [{"status": "428", "title": "Precondition Required", "detail": "If-Match"}]}',
        lesson=r"read_article|\betag\b",
        fix={"if_match": "etag"},
        before=(call("read_article", article="article"),),
    ),
)


def _parcel(chosen: random.Random) -> Values:
    local = f"0{chosen.randrange(660, 699)} {chosen.randrange(10**6, 10**7)}"
    return {
        "contact": f"{chosen.choice(_STREETS)} {chosen.randrange(1, 90)}",
        "local": local,
        "world": f"+43{local[1:].replace(' ', '')}",
        "body": f"Your parcel {chosen.randrange(10**5, 10**6)} has arrived.",
    }


# An error number and no form; later the form that was right is the wrong one.
PHONE_FORM = Family(
    name="phone_form",
    vary=_parcel,
    tasks=(
        "SMS to $local (Austria) please -> $body",
        "The neighbour at $contact has the Austrian number $local. Text them this: $body",
    ),
    tools=(
        act("sms_send", "Send a text message.", "to body", free="body"),
        look_up(
            "sms_history",
            "Show what was sent lately.",
            "",
            gives={"to": "+436601234567", "state": "delivered"},
        ),
        act("sms_block", "Block a number.", "to"),
    ),
    plan=(call("sms_send", to="local", body="body"),),
    rule=ToolRule(
        tool="sms_send",
        obeyed=is_value("to", "world"),
        error="[21211] Invalid 'To' Phone Number: $to",
        lesson=r"\+\d|E\.164|country code|international",
        fix={"to": "world"},
        look=(call("sms_history"),),
    ),
    later=ToolRule(
        tool="sms_send",
        obeyed=is_value("to", "local"),
        error="[21408] Permission to send to this region is not enabled: $to",
        lesson=r"\b0\d{3} |national",
    ),
)


def _rows(chosen: random.Random) -> Values:
    rows = [f"{chosen.choice(_STREETS)} {n}" for n in chosen.sample(range(1, 99), 4)]
    return {"all": rows, "listed": "; ".join(rows), "first": rows[:2], "second": rows[2:]}


def _is_small(arguments: Arguments, _state: State, _values: Values) -> bool:
    return isinstance(rows := arguments["addresses"], list) and len(rows) <= 2


# A limit on how much one call may carry.
BATCH_SIZE = Family(
    name="batch_size",
    vary=_rows,
    tasks=(
        "These four addresses go into the address book: $listed",
        "Address book, four new entries, in this order: $listed",
    ),
    tools=(
        act("import_addresses", "Import addresses into the address book.", "addresses:array"),
        look_up("count_addresses", "Count the entries of the address book.", "", gives={"count": "311"}),
        act("clear_addresses", "Remove all entries of the address book.", "confirm"),
    ),
    plan=(call("import_addresses", addresses="all"),),
    rule=ToolRule(
        tool="import_addresses",
        obeyed=_is_small,
        error="413 Payload Too Large (4 items, limit is 2 items per request)",
        lesson=r"\b(2|two) (items|addresses|entries|at a time)|limit is 2|at most (2|two)",
        instead=(call("import_addresses", addresses="first"), call("import_addresses", addresses="second")),
    ),
)


def _stack(chosen: random.Random) -> Values:
    return {"stack": f"{chosen.choice(_SERVICES)}-{chosen.choice(('eu', 'us', 'ap'))}"}


# A command line's output, where only the exit code says that it failed.
PLAN_FIRST = Family(
    name="plan_first",
    vary=_stack,
    tasks=(
        "Roll out $stack.",
        "Everything is merged, so go ahead: $stack can be applied.",
    ),
    tools=(
        act("apply_stack", "Apply the changes of a stack.", "stack"),
        prepare("preview_stack", "Compute what would change in a stack.", "stack"),
        look_up(
            "stack_outputs",
            "Show the outputs of a stack.",
            "stack",
            finds={"stack": "stack"},
            gives={"url": "-"},
        ),
        act("destroy_stack", "Destroy a stack.", "stack"),
    ),
    plan=(call("apply_stack", stack="stack"),),
    rule=ToolRule(
        tool="apply_stack",
        obeyed=follows("preview_stack", "stack"),
        error="Applying $stack ...\nError: no saved plan for $stack\nexit code: 1",
        lesson="preview_stack",
        before=(call("preview_stack", stack="stack"),),
    ),
)


def _bucket(chosen: random.Random) -> Values:
    bucket = f"{chosen.choice(_SERVICES)}-logs-{chosen.randrange(10, 99)}"
    return {"bucket": bucket, "phrase": f"purge {bucket}"}


# A second call with a phrase that contains a value of the run.
CONFIRM_PHRASE = Family(
    name="confirm_phrase",
    vary=_bucket,
    tasks=(
        "Empty the bucket $bucket, nobody reads it.",
        "$bucket costs us a fortune. All objects in it can go, the bucket itself stays.",
    ),
    tools=(
        act("purge_bucket", "Remove all objects from a bucket.", "bucket confirmation?"),
        look_up(
            "bucket_size",
            "Show the size of a bucket.",
            "bucket",
            finds={"bucket": "bucket"},
            gives={"gb": "812"},
        ),
        act("drop_bucket", "Remove a bucket and all that is in it.", "bucket"),
    ),
    plan=(call("purge_bucket", bucket="bucket"),),
    rule=ToolRule(
        tool="purge_bucket",
        obeyed=is_value("confirmation", "phrase"),
        error='Refused (E_CONFIRM): this is final; repeat with confirmation="purge $bucket" if you are sure.',
        lesson=r"confirmation\W.*\bpurge\b",
        fix={"confirmation": "phrase"},
    ),
)


def _week(chosen: random.Random) -> Values:
    monday = date(2026, 1, 5) + timedelta(weeks=chosen.randrange(50))
    return {
        "crew": chosen.choice(("north", "south", "harbour", "night")),
        "monday": monday.isoformat(),
        "week": f"{monday.isocalendar().year}-W{monday.isocalendar().week:02}",
    }


# A validator's report, which gives the form as a regular expression. Later another form is wanted.
ISO_WEEK = Family(
    name="iso_week",
    vary=_week,
    tasks=(
        "The $crew crew is on call for the week that begins on $monday.",
        "On-call duty, week starting $monday: crew $crew",
    ),
    tools=(
        act("assign_duty", "Assign a crew to the duty of one week.", "crew week"),
        look_up("current_duty", "Show who is on duty.", "", gives={"crew": "night", "week": "2026-W01"}),
        act("swap_duty", "Let two crews swap a week.", "crew other_crew"),
    ),
    plan=(call("assign_duty", crew="crew", week="monday"),),
    rule=ToolRule(
        tool="assign_duty",
        obeyed=matches("week", r"\d{4}-W\d\d"),
        error='{"detail": [{"loc": ["body", "week"], "msg": "should match pattern [0-9]{4}-W[0-9]{2}"}]}',
        lesson=r"-W(\d\d|\[|WW|99|\\d|nn)",
        fix={"week": "week"},
        look=(call("current_duty"),),
    ),
    later=ToolRule(
        tool="assign_duty",
        obeyed=matches("week", r"\d{4}-\d\d-\d\d"),
        error='{"detail": [{"loc": ["body", "week"], "msg": "should be a valid date"}]}',
        lesson=r"YYYY-MM-DD|first day|valid date",
    ),
)


def _spot(chosen: random.Random) -> Values:
    # East of 90 degrees, so that a longitude in the place of a latitude is seen to be wrong.
    latitude, longitude = chosen.randrange(-400, 500) / 10, chosen.randrange(950, 1_790) / 10
    return {
        "drone": f"D{chosen.randrange(10, 99)}",
        "latitude": latitude,
        "longitude": longitude,
        "usual": f"{latitude},{longitude}",
        "swapped": f"{longitude},{latitude}",
    }


def _degrees(value: Any) -> list[float]:
    return [number(part) for part in re.findall(r"-?\d+(?:\.\d+)?", str(value))]


def _is_east_first(arguments: Arguments, _state: State, values: Values) -> bool:
    return _degrees(arguments["position"]) == [values["longitude"], values["latitude"]]


# Two numbers in the order that maps use and people do not.
AXIS_ORDER = Family(
    name="axis_order",
    vary=_spot,
    tasks=(
        "$drone -> latitude $latitude, longitude $longitude",
        "Could $drone fly to latitude $latitude and longitude $longitude, please?",
    ),
    tools=(
        act("send_drone", "Send a drone to a position.", "drone position", normal={"position": _degrees}),
        look_up(
            "drone_battery",
            "Show how full the battery is.",
            "drone",
            finds={"drone": "drone"},
            gives={"%": "77"},
        ),
        act("land_drone", "Land a drone where it is.", "drone"),
    ),
    plan=(call("send_drone", drone="drone", position="usual"),),
    rule=ToolRule(
        tool="send_drone",
        obeyed=_is_east_first,
        error="RangeError: y=$longitude not in [-90, 90]; position is x,y (longitude first)",
        lesson=r"longitude first|longitude,\s?latitude|x,\s?y",
        fix={"position": "swapped"},
    ),
)

HELD_OUT = (
    MEMORY_QUANTITY,
    VERSION_TOKEN,
    PHONE_FORM,
    BATCH_SIZE,
    PLAN_FIRST,
    CONFIRM_PHRASE,
    ISO_WEEK,
    AXIS_ORDER,
)
