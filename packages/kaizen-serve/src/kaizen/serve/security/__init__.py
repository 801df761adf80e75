"""Who may do what: hosts, tokens, forms, bounds and headers, in the order in which a request meets them."""

from kaizen.serve.security.callers import Caller, caller_of, csrf_token, may, require

__all__ = ["Caller", "caller_of", "csrf_token", "may", "require"]
