"""The families that Kaizen is developed with."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
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
    one_of,
    prepare,
)

if TYPE_CHECKING:
    import random

    from kaizen.demo.world.family import Values

_NAMES = ("Ana Kovac", "Ben Okafor", "Chiara Russo", "Dmitri Sokolov", "Emma Lindqvist", "Farid Haddad")
_CITIES = ("VIE", "LHR", "JFK", "SIN", "CPH", "LIS", "GRU", "YYZ")
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "indigo", "juniper")


def _digits(chosen: random.Random, count: int) -> str:
    return str(chosen.randrange(10 ** (count - 1), 10**count))


def _day(chosen: random.Random) -> date:
    return date(2026, 1, 1) + timedelta(days=chosen.randrange(365))


def _flight(chosen: random.Random) -> Values:
    day, (origin, destination) = _day(chosen), chosen.sample(_CITIES, 2)
    short = day.strftime("%d%b%y").upper()
    return {"origin": origin, "destination": destination, "iso": day.isoformat(), "short": short}


# Dates as reservation systems write them. The refusal shows no form; a look at the departures does.
FLIGHT_DATE = Family(
    name="flight_date",
    vary=_flight,
    tasks=(
        "Book a flight from $origin to $destination on $iso.",
        "I have to fly from $origin to $destination on $iso. Please book that flight.",
        "Please book $origin to $destination, leaving on $iso.",
    ),
    tools=(
        act("book_flight", "Book a flight.", "origin destination date"),
        look_up(
            "show_departures",
            "Show the departures between two airports.",
            "origin destination",
            gives={"flights": "KZ 481", "departs": "short", "seats": "9"},
        ),
        act("cancel_flight", "Cancel a booked flight.", "booking_id"),
    ),
    plan=(call("book_flight", origin="origin", destination="destination", date="iso"),),
    rule=ToolRule(
        tool="book_flight",
        obeyed=matches("date", r"[0-3]\d(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\d\d"),
        error='{"error": "invalid date: \'$date\'"}',
        lesson=r"\d\d(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\d\d|DDMMMYY|show_departures",
        fix={"date": "short"},
        look=(call("show_departures", origin="origin", destination="destination"),),
    ),
    later=ToolRule(
        tool="book_flight",
        obeyed=matches("date", r"\d{4}-\d\d-\d\d"),
        error='{"error": "date \'$date\' is not an ISO 8601 date (YYYY-MM-DD)"}',
        lesson=r"YYYY-MM-DD|ISO 8601",
    ),
)


def _cents(value: Any) -> int | str:
    amount = number(value)
    return int(amount) if amount == amount // 1 else str(value)


def _refund(chosen: random.Random) -> Values:
    cents = chosen.randrange(500, 9_000) // 10 * 10 + 5
    return {"order": f"W{_digits(chosen, 6)}", "euros": cents / 100, "cents": cents}


# Payment APIs count in the smallest unit. Every amount has a fraction, so that euros are always refused.
REFUND_CENTS = Family(
    name="refund_cents",
    vary=_refund,
    tasks=(
        "Refund $euros euros of order $order to the customer.",
        "Order $order arrived damaged. Give the customer $euros EUR back.",
        "Please pay back $euros euros for order $order.",
    ),
    tools=(
        act(
            "refund_order", "Refund a part of an order.", "order_id amount:number", normal={"amount": _cents}
        ),
        look_up("get_order", "Get an order.", "order_id", finds={"order_id": "order"}, gives={"id": "order"}),
        act("cancel_order", "Cancel a whole order.", "order_id"),
    ),
    plan=(call("refund_order", order_id="order", amount="euros"),),
    rule=ToolRule(
        tool="refund_order",
        obeyed=lambda arguments, _state, _values: isinstance(_cents(arguments["amount"]), int),
        error="Error: amount must be a whole number of cents, got $amount",
        lesson=r"\bcents\b|multiplied by 100|times 100|\* ?100\b",
        fix={"amount": "cents"},
    ),
)


def _node(chosen: random.Random) -> Values:
    return {"node": f"node-{_digits(chosen, 2)}", "sessions": chosen.randrange(3, 90)}


# A precondition whose error names it, but not the tool that meets it.
DRAIN_FIRST = Family(
    name="drain_first",
    vary=_node,
    tasks=(
        "Restart $node.",
        "$node behaves oddly. Please restart it.",
        "Can you restart the machine $node for me?",
    ),
    tools=(
        act("restart_node", "Restart a node of the cluster.", "node"),
        prepare("drain_node", "Move all sessions away from a node.", "node"),
        look_up(
            "node_status",
            "Show the status of a node.",
            "node",
            finds={"node": "node"},
            gives={"node": "node"},
        ),
        act("remove_node", "Remove a node from the cluster.", "node"),
    ),
    plan=(call("restart_node", node="node"),),
    rule=ToolRule(
        tool="restart_node",
        obeyed=follows("drain_node", "node"),
        error="Error: $node has $sessions active sessions; drain it first",
        lesson=r"drain_node|\bdrain\b",
        before=(call("drain_node", node="node"),),
    ),
)


def _ticket(chosen: random.Random) -> Values:
    cause = chosen.choice(("a new router", "a restart", "the latest update", "another cable"))
    return {
        "ticket": f"T-{_digits(chosen, 5)}",
        "cause": cause,
        "words": f"fixed by {cause}",
        "code": "RESOLVED_BY_FIX",
        "new_code": "FIXED",
    }


# A closed list that the schema leaves out. Its codes change later, so that a stale tip does harm.
CLOSE_REASON = Family(
    name="close_reason",
    vary=_ticket,
    tasks=(
        "Close ticket $ticket: it was fixed by $cause.",
        "The problem of ticket $ticket is fixed by $cause, so please close the ticket.",
        "$ticket can be closed, $cause has fixed it.",
    ),
    tools=(
        act("close_ticket", "Close a ticket and say why.", "ticket_id reason"),
        look_up(
            "get_ticket", "Get a ticket.", "ticket_id", finds={"ticket_id": "ticket"}, gives={"id": "ticket"}
        ),
        act("escalate_ticket", "Hand a ticket to the next level.", "ticket_id"),
    ),
    plan=(call("close_ticket", ticket_id="ticket", reason="words"),),
    rule=ToolRule(
        tool="close_ticket",
        obeyed=one_of("reason", "RESOLVED_BY_FIX"),
        error="Error: reason must be one of RESOLVED_BY_FIX, NO_DEFECT, DUPLICATE, got '$reason'",
        lesson="RESOLVED_BY_FIX",
        fix={"reason": "code"},
    ),
    later=ToolRule(
        tool="close_ticket",
        obeyed=one_of("reason", "FIXED"),
        error="Error: reason must be one of FIXED, INVALID, DUPLICATE, got '$reason'",
        lesson=r"\bFIXED\b",
        fix={"reason": "new_code"},
    ),
)


def _note(chosen: random.Random) -> Values:
    file = f"{chosen.choice(_WORDS)}-{_digits(chosen, 3)}.md"
    return {"file": file, "path": f"/srv/shared/{file}", "text": f"Reviewed by {chosen.choice(_NAMES)}."}


# A sandbox that takes paths below one directory only.
ABSOLUTE_PATH = Family(
    name="absolute_path",
    vary=_note,
    tasks=(
        "Write the note '$text' into the file $file.",
        "Please save a file $file with this text: $text",
        "Create $file. It should say: $text",
    ),
    tools=(
        act("write_file", "Write a text file.", "path content", free="content"),
        look_up(
            "list_files", "List the files in a folder.", "folder?", gives={"files": "readme.md, notes.md"}
        ),
        act("delete_file", "Delete a file.", "path"),
    ),
    plan=(call("write_file", path="file", content="text"),),
    rule=ToolRule(
        tool="write_file",
        obeyed=matches("path", r"/srv/shared/[\w.-]+"),
        error="PermissionError: '$path' is outside of the workspace; paths start with /srv/shared/",
        lesson="/srv/shared/",
        fix={"path": "path"},
    ),
)

_TABLES = ("orders", "visits", "invoices", "sensors", "payments", "shipments")


def _query(chosen: random.Random) -> Values:
    table = chosen.choice(_TABLES)
    day = _day(chosen).isoformat()
    sql = f"SELECT * FROM {table} WHERE day = '{day}'"  # noqa: S608 - nothing runs it
    return {"table": table, "day": day, "sql": sql, "limited": f"{sql} LIMIT 100"}


def _query_of(value: Any) -> list[str]:
    """Return the tables and days in a query: there are many ways to write the same one."""
    return re.findall(r"from\s+(\w+)|(\d{4}-\d\d-\d\d)", str(value), re.IGNORECASE)


# The rule is about a part of a free text, which the schema cannot state.
SQL_LIMIT = Family(
    name="sql_limit",
    vary=_query,
    tasks=(
        "Show me the rows of the table $table whose day is $day.",
        "Which rows does the table $table have for the day $day?",
        "Query the table $table for the rows where day is $day.",
    ),
    tools=(
        act("run_query", "Run an SQL query on the warehouse.", "sql", normal={"sql": _query_of}),
        look_up("list_tables", "List the tables of the warehouse.", "", gives={"tables": ", ".join(_TABLES)}),
        act("export_table", "Export a whole table.", "table"),
    ),
    plan=(call("run_query", sql="sql"),),
    rule=ToolRule(
        tool="run_query",
        obeyed=matches("sql", r"(?is).*\blimit\s+\d{1,3};?\s*"),
        error="QueryRejectedError: unbounded query, add LIMIT (at most 500)",
        lesson=r"\bLIMIT\b",
        fix={"sql": "limited"},
    ),
)


def _issue(chosen: random.Random) -> Values:
    tags = chosen.sample(("urgent", "billing", "mobile", "login", "search", "export"), 2)
    return {
        "issue": _digits(chosen, 4),
        "one": tags[0],
        "two": tags[1],
        "commas": ", ".join(tags),
        "bars": "|".join(tags),
        "spaces": " ".join(tags),
    }


# Several values in one text. The later error says only that something is wrong.
TAG_SEPARATOR = Family(
    name="tag_separator",
    vary=_issue,
    tasks=(
        "Tag issue $issue as $one and $two.",
        "Issue $issue needs the tags $one and $two.",
        "Please put the tags $one and $two on issue $issue.",
    ),
    tools=(
        act("tag_issue", "Set the tags of an issue.", "issue tags"),
        look_up("get_issue", "Get an issue.", "issue", finds={"issue": "issue"}, gives={"issue": "issue"}),
        act("close_issue", "Close an issue.", "issue"),
    ),
    plan=(call("tag_issue", issue="issue", tags="commas"),),
    rule=ToolRule(
        tool="tag_issue",
        obeyed=is_value("tags", "bars"),
        error='{"success": false, "message": "cannot parse tags \'$tags\': separate tags by |"}',
        lesson=r"\|",
        fix={"tags": "bars"},
    ),
    later=ToolRule(
        tool="tag_issue",
        obeyed=is_value("tags", "commas"),
        error='{"success": false, "message": "unknown tag \'$tags\'"}',
        lesson=r"\bcommas?\b",
    ),
)


def _meeting(chosen: random.Random) -> Values:
    start = datetime.combine(_day(chosen), datetime.min.time()) + timedelta(hours=chosen.randrange(8, 18))
    plain = start.isoformat(timespec="minutes")
    return {
        "title": f"{chosen.choice(_WORDS).title()} review",
        "spoken": start.strftime("%Y-%m-%d at %H:%M"),
        "plain": plain,
        "zoned": f"{plain}:00+00:00",
    }


def _instant(value: Any) -> str:
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        return str(value)


# A time without an offset is ambiguous; the error gives an example.
EVENT_ZONE = Family(
    name="event_zone",
    vary=_meeting,
    tasks=(
        "Put '$title' into the calendar on $spoken (UTC).",
        "We meet for the '$title' on $spoken UTC. Please add it to the calendar.",
        "Add an event '$title', it starts on $spoken UTC.",
    ),
    tools=(
        act(
            "create_event",
            "Create an event.",
            "title start minutes:number?",
            free="title",
            normal={"start": _instant},
        ),
        look_up("list_events", "List the events of a day.", "day?", gives={"events": "none"}),
        act("delete_event", "Delete an event.", "title"),
    ),
    plan=(call("create_event", title="title", start="plain"),),
    rule=ToolRule(
        tool="create_event",
        obeyed=matches("start", r".*T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)"),
        error="ValueError: start '$start' has no UTC offset, write it like 2026-03-04T10:00:00+00:00",
        lesson=r"\+00:00|UTC offset",
        fix={"start": "zoned"},
    ),
)


def _customer(chosen: random.Random) -> Values:
    # Of three to five digits, so that no fixed prefix is the rule.
    customer = int(_digits(chosen, chosen.randrange(3, 6)))
    plan = chosen.choice(("basic", "plus", "team"))
    return {"number": customer, "customer": f"CUS-{customer:06}", "plan": plan}


# An id whose prefix and padding the user does not type.
CUSTOMER_FORM = Family(
    name="customer_form",
    vary=_customer,
    tasks=(
        "Move customer $number to the plan '$plan'.",
        "Customer number $number wants the $plan plan. Please change it.",
        "Change the plan of customer $number to $plan.",
    ),
    tools=(
        act("set_plan", "Change the plan of a customer.", "customer_id plan"),
        look_up("list_plans", "List the plans.", "", gives={"plans": "basic, plus, team"}),
        act("close_account", "Close the account of a customer.", "customer_id"),
    ),
    plan=(call("set_plan", customer_id="number", plan="plan"),),
    rule=ToolRule(
        tool="set_plan",
        obeyed=matches("customer_id", r"CUS-\d{6}"),
        error="Error: customer_id must be CUS- and six digits, such as CUS-004211, got '$customer_id'",
        lesson=r"CUS-.*\b(six|6)\b|CUS-\d{6}",
        fix={"customer_id": "customer"},
    ),
)


def _guest(chosen: random.Random) -> Values:
    return {"guest": f"G{_digits(chosen, 4)}", "room": _digits(chosen, 3), "name": chosen.choice(_NAMES)}


# A session state on the server: the first call loads what the second needs.
GUEST_FIRST = Family(
    name="guest_first",
    vary=_guest,
    tasks=(
        "Book room $room for guest $guest.",
        "Guest $guest would like room $room. Please book it.",
        "Reserve room $room, the guest is $guest.",
    ),
    tools=(
        act("book_room", "Book a room for a guest.", "guest_id room"),
        look_up(
            "get_guest",
            "Get a guest.",
            "guest_id",
            finds={"guest_id": "guest"},
            gives={"guest_id": "guest", "name": "name"},
        ),
        look_up("list_rooms", "List the rooms.", "", gives={"rooms": "100 to 999"}),
        act("check_out", "IsObeyed a guest out.", "guest_id"),
    ),
    plan=(call("book_room", guest_id="guest", room="room"),),
    rule=ToolRule(
        tool="book_room",
        obeyed=follows("get_guest", "guest_id"),
        error='{"error": "guest $guest_id is not loaded, call get_guest first"}',
        lesson="get_guest",
        before=(call("get_guest", guest_id="guest"),),
    ),
)

_CURRENCIES = (("euros", "EUR"), ("Swiss francs", "CHF"), ("pounds", "GBP"), ("yen", "JPY"))


def _payment(chosen: random.Random) -> Values:
    words, code = chosen.choice(_CURRENCIES)
    account = f"AC{_digits(chosen, 6)}"
    return {"account": account, "amount": chosen.randrange(20, 900), "words": words, "code": code}


# The refusal does not say what a currency looks like; another tool's result does.
CURRENCY_CODE = Family(
    name="currency_code",
    vary=_payment,
    tasks=(
        "Send $amount $words to the account $account.",
        "The account $account is to get $amount $words. Please transfer them.",
        "Transfer $amount $words to $account.",
    ),
    tools=(
        act("transfer_money", "Transfer money to an account.", "account amount:number currency"),
        look_up(
            "account_info",
            "Show an account.",
            "account",
            finds={"account": "account"},
            gives={"currency": "code"},
        ),
        act("block_account", "Block an account.", "account"),
    ),
    plan=(call("transfer_money", account="account", amount="amount", currency="words"),),
    rule=ToolRule(
        tool="transfer_money",
        obeyed=lambda arguments, _state, values: arguments["currency"] == values["code"],
        error="HTTP 400 Bad Request: unknown currency '$currency'",
        lesson=r"\b(EUR|CHF|GBP|JPY|USD)\b|ISO 4217|three.letter|account_info",
        fix={"currency": "code"},
        look=(call("account_info", account="account"),),
    ),
)


def _timeout(chosen: random.Random) -> Values:
    seconds = chosen.randrange(2, 60)
    service = f"{chosen.choice(_WORDS)}-api"
    return {"service": service, "seconds": seconds, "millis": 1_000 * seconds}


# A number without a unit, refused by its size. Later the unit is another one.
TIMEOUT_UNIT = Family(
    name="timeout_unit",
    vary=_timeout,
    tasks=(
        "Set the timeout of $service to $seconds seconds.",
        "$service should wait $seconds seconds before it gives up. Please set its timeout.",
        "Give $service a timeout of $seconds seconds.",
    ),
    tools=(
        act("set_timeout", "Set the timeout of a service.", "service timeout:number"),
        look_up(
            "get_service",
            "Show a service.",
            "service",
            finds={"service": "service"},
            gives={"name": "service"},
        ),
        act("stop_service", "Stop a service.", "service"),
    ),
    plan=(call("set_timeout", service="service", timeout="seconds"),),
    rule=ToolRule(
        tool="set_timeout",
        obeyed=lambda arguments, _state, _values: number(arguments["timeout"]) >= 1_000,
        error="Error: timeout $timeout is below the minimum of 1000 milliseconds",
        lesson=r"millisecond|multiplied by 1,?000|times 1,?000",
        fix={"timeout": "millis"},
    ),
    later=ToolRule(
        tool="set_timeout",
        obeyed=lambda arguments, _state, _values: number(arguments["timeout"]) <= 300,
        error="Error: timeout $timeout is above the maximum of 300 seconds",
        lesson=r"\bseconds\b",
    ),
)

_CARDS = ("visa", "mastercard", "paypal", "sepa")


def _charge(chosen: random.Random) -> Values:
    kind = chosen.choice(_CARDS)
    return {
        "customer": f"K{_digits(chosen, 5)}",
        "amount": chosen.randrange(10, 400),
        "kind": kind,
        "method": f"pm_{kind}_{_digits(chosen, 7)}",
    }


# The value is an id that only another tool's result has.
PAYMENT_METHOD = Family(
    name="payment_method",
    vary=_charge,
    tasks=(
        "Charge customer $customer $amount euros by $kind.",
        "Customer $customer pays $amount euros with $kind. Please charge it.",
        "Please take $amount euros from the $kind of customer $customer.",
    ),
    tools=(
        act("charge_customer", "Charge a customer.", "customer amount:number payment_method"),
        look_up(
            "list_payment_methods",
            "List the stored payment methods of a customer.",
            "customer",
            finds={"customer": "customer"},
            gives={"kind": "kind", "payment_method": "method"},
        ),
        act("block_customer", "Block a customer.", "customer"),
    ),
    plan=(call("charge_customer", customer="customer", amount="amount", payment_method="kind"),),
    rule=ToolRule(
        tool="charge_customer",
        obeyed=is_value("payment_method", "method"),
        error='{"error": {"code": 404, "message": "no payment method \'$payment_method\'"}}',
        lesson="list_payment_methods",
        fix={"payment_method": "method"},
        before=(call("list_payment_methods", customer="customer"),),
    ),
)


def _project(chosen: random.Random) -> Values:
    return {"project": f"{chosen.choice(_WORDS)}-{_digits(chosen, 2)}"}


# The refusal names the state that is in the way, and no tool at all.
ARCHIVE_FIRST = Family(
    name="archive_first",
    vary=_project,
    tasks=(
        "Delete the project $project.",
        "We do not need the project $project any more, please delete it.",
        "The project $project is over. Delete it.",
    ),
    tools=(
        act("delete_project", "Delete a project.", "project"),
        prepare("archive_project", "Archive a project.", "project"),
        look_up(
            "get_project", "Show a project.", "project", finds={"project": "project"}, gives={"state": "live"}
        ),
        act("share_project", "Share a project with everybody.", "project"),
    ),
    plan=(call("delete_project", project="project"),),
    rule=ToolRule(
        tool="delete_project",
        obeyed=follows("archive_project", "project"),
        error="Error: 409 Conflict: project $project is live",
        lesson="archive_project|archive",
        before=(call("archive_project", project="project"),),
        look=(call("get_project", project="project"),),
    ),
)

_LANGUAGES = (("German", "de-DE"), ("French", "fr-FR"), ("Dutch", "nl-NL"), ("Swedish", "sv-SE"))


def _page(chosen: random.Random) -> Values:
    language, tag = chosen.choice(_LANGUAGES)
    return {"page": f"{chosen.choice(_WORDS)}-guide", "language": language, "tag": tag}


# Half of a standard's form is what most people write.
LANGUAGE_TAG = Family(
    name="language_tag",
    vary=_page,
    tasks=(
        "Translate the page $page into $language.",
        "Please have the page $page translated into $language.",
        "The page $page is needed in $language. Translate it.",
    ),
    tools=(
        act("translate_page", "Translate a page.", "page language"),
        look_up("get_page", "Show a page.", "page", finds={"page": "page"}, gives={"page": "page"}),
        act("publish_page", "Publish a page.", "page"),
    ),
    plan=(call("translate_page", page="page", language="language"),),
    rule=ToolRule(
        tool="translate_page",
        obeyed=is_value("language", "tag"),
        error="UnsupportedLanguageError: expected language and country like pt-BR, not '$language'",
        lesson=r"\b[a-z]{2}-[A-Z]{2}\b|language and country|BCP 47",
        fix={"language": "tag"},
    ),
)


def _invoice(chosen: random.Random) -> Values:
    return {
        "client": f"C{_digits(chosen, 4)}",
        "invoice": f"INV{_digits(chosen, 5)}",
        "hours": chosen.randrange(2, 40),
    }


# Three steps in a fixed order, of which the task names the last.
INVOICE_STEPS = Family(
    name="invoice_steps",
    vary=_invoice,
    tasks=(
        "Add $hours hours to the invoice $invoice and send it to client $client.",
        "Client $client gets the invoice $invoice with $hours more hours on it. Add them, then send it.",
        "Put $hours hours on invoice $invoice, then send it to $client.",
    ),
    tools=(
        act("add_hours", "Add hours to an invoice.", "invoice hours:number"),
        act("send_invoice", "Send an invoice to a client.", "invoice client"),
        prepare("lock_invoice", "Lock an invoice.", "invoice"),
        look_up(
            "get_invoice",
            "Show an invoice.",
            "invoice",
            finds={"invoice": "invoice"},
            gives={"state": "open"},
        ),
        act("void_invoice", "Void an invoice.", "invoice"),
    ),
    plan=(
        call("add_hours", invoice="invoice", hours="hours"),
        call("send_invoice", invoice="invoice", client="client"),
    ),
    rule=ToolRule(
        tool="send_invoice",
        obeyed=follows("lock_invoice", "invoice"),
        error="InvalidStateError: $invoice is open; only a locked invoice can be sent (use lock_invoice)",
        lesson=r"lock_invoice|\block(ed)?\b",
        before=(call("lock_invoice", invoice="invoice"),),
    ),
)

FAMILIES = (
    FLIGHT_DATE,
    REFUND_CENTS,
    DRAIN_FIRST,
    CLOSE_REASON,
    ABSOLUTE_PATH,
    SQL_LIMIT,
    TAG_SEPARATOR,
    EVENT_ZONE,
    CUSTOMER_FORM,
    GUEST_FIRST,
    CURRENCY_CODE,
    TIMEOUT_UNIT,
    PAYMENT_METHOD,
    ARCHIVE_FIRST,
    LANGUAGE_TAG,
    INVOICE_STEPS,
)
