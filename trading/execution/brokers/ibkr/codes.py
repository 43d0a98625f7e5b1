"""What the gateway's message codes mean for an order or a question. Pure and light: standard library only.

Codes: "Message Codes" of the TWS API documents (interactivebrokers.github.io/tws-api/message_codes.html).
What is in none of these sets says nothing for certain, so that an order is looked up.
"""

from __future__ import annotations

REFUSALS = frozenset(
    {
        103,  # duplicate order id: this order was not taken, an older one has its number
        106,  # the order cannot be transmitted
        107,  # incomplete order
        109,  # price out of the range of the gateway's settings
        110,  # price is no multiple of the tick
        111,  # time in force and type do not go together
        116,  # dead exchange
        132,  # no clearing account
        133,  # "submit new order failed"
        163,  # price violates the percentage limit of the gateway's settings
        200,  # no such security, or an ambiguous one
        201,  # order rejected: funds, shares, permissions
        203,  # security not allowed for this account
        321,  # invalid request; also: the API is read-only
        382,  # price violates the tick limit of the gateway's settings
        383,  # size violates the limit of the gateway's settings
        387,  # order type not supported there
        388,  # size below the least
        434,  # size is zero
        435,  # no account given
        436,  # no allocation given
        460,  # no trading permission
        10052,  # invalid time in force
        10268,  # attribute not supported
        10318,  # fractions not supported
    }
)
"""A new order was not taken: it does not exist."""
REJECTED = 201
"""The one of them that can also come later, for an order that the gateway had taken in."""
ORDER_CANCELLED = 202
"""An order that existed was cancelled, by whomever."""
CANNOT_CANCEL = frozenset({135, 136, 161, 10147, 10148})
"""The order to be cancelled is not there, has ended, or cannot be cancelled now: ask how it stands."""
NO_SUCH_SECURITY = 200
NOT_SUBSCRIBED = frozenset({354, 10089, 10090, 10168, 10186})
"""Market data that the account has not subscribed to."""
HISTORY = 162
"""All that is wrong with a question for history; the text says what."""
CUT = 1100
"""The gateway has lost its connection to the broker."""
RESTORED = frozenset({1101, 1102})
"""It has it again; after 1101 market data must be subscribed to anew."""
DATA_LOST = 1101
NO_ENTRY = frozenset({326, 502, 503, 507, 522})
"""The connection to the gateway itself cannot be had: 326, the client id is in use."""
FARM_BROKEN, FARM_OK = 2103, 2104
"""The connection to a server of market data, named at the end of the text, is broken, or is there again."""
US_FARM = "usfarm"
"""How the servers of US shares are named, with more after it."""


def is_remark(code: int) -> bool:
    """Whether a message changes nothing: 2100 to 2199, but for those about servers of prices."""
    return 2100 <= code < 2200 and code not in (FARM_BROKEN, FARM_OK)
