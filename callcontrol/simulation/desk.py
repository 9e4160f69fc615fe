from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from callcontrol.simulation.exchange import Exchange
from callcontrol.simulation.knobs import BadKnob
from callcontrol.simulation.timeline import Timeline
from callcontrol.simulation.web import BadBody, Request, Response, json_object, json_response, refusal, whole_number

PREFIX: Final = "sim"
CALLS_DEFAULT: Final = 1000
CALLS_MAX: Final = 10_000
SHOWN_CALLS: Final = 50
LIVE_STATES: Final = ("a_dialing", "a_ringing", "a_answered", "b_dialing", "b_ringing", "bridged")
COLUMNS: Final = (
    "reference",
    "provider_call_id",
    "scenario",
    "customer_number",
    "state",
    "start_time",
    "answer_time",
    "end_time",
    "billable_seconds",
    "hangup_cause",
)


class Desk:
    """The operator's side of the simulator under `/sim/`: knobs, where calls stop, what it did. Not for the network."""

    def __init__(self, exchange: Exchange, *, timeline: Timeline) -> None:
        self._exchange = exchange
        self._timeline = timeline
        self._acts = {"knobs": self._turn, "talk": self._talk, "pause": self._pause, "stay": self._stay}

    def answer(self, request: Request) -> Response:
        try:
            match request.method, request.path:
                case "GET", ():
                    return Response(200, self._page().encode(), "text/html; charset=utf-8")
                case "GET", ("knobs",):
                    return self._knobs()
                case "GET", ("calls",):
                    return self._calls(request.query)
                case "POST", (act,) if act in self._acts:
                    self._acts[act](json_object(request.body))
                    return self._knobs()
        except (BadKnob, BadBody) as error:
            return refusal(400, "validation", detail=str(error))
        return refusal(404, "not_found")

    def _knobs(self) -> Response:
        return json_response(200, self._state() | {"counts": self._exchange.counts()})

    def _state(self) -> dict[str, object]:
        paused, stays_in = self._timeline.paused, self._exchange.stays_in
        return self._exchange.knobs.as_json() | {"paused": paused, "stays_in": stays_in}

    def _turn(self, changes: dict[str, object]) -> None:
        self._exchange.turn(changes)

    def _talk(self, content: dict[str, object]) -> None:
        self._turn({"talk_seconds": content.get("seconds")})

    def _pause(self, content: dict[str, object]) -> None:
        match content.get("paused", True):
            case True:
                self._timeline.pause()
            case False:
                self._timeline.resume()
            case _:
                raise BadBody("paused is true or false")

    def _stay(self, content: dict[str, object]) -> None:
        state = content.get("state")
        if state is not None and state not in LIVE_STATES:
            raise BadBody(f"state is null or one of {', '.join(LIVE_STATES)}")
        self._exchange.stay(state)

    def _calls(self, query: dict[str, str]) -> Response:
        skip = whole_number(query.get("skip", ""), default=0, highest=10**8)
        limit = whole_number(query.get("limit", ""), default=CALLS_DEFAULT, highest=CALLS_MAX)
        total = self._exchange.counts()["calls"]
        return json_response(200, {"total": total, "calls": self._exchange.calls(skip=skip, limit=limit)})

    def _page(self) -> str:
        counts = self._exchange.counts()
        knobs = self._state()
        calls = self._exchange.calls(skip=max(0, counts["calls"] - SHOWN_CALLS), limit=SHOWN_CALLS)
        rows = "".join(_row("td", [call[column] for column in COLUMNS]) for call in reversed(calls))
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
            "<title>Platform simulator</title><style>body{font:14px sans-serif;margin:2em}"
            "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #bbb;padding:.2em .6em;text-align:left}"
            "</style></head><body>"
            f"<h1>Platform simulator</h1><h2>Knobs</h2>{_pairs(knobs)}<h2>Counts</h2>{_pairs(counts)}"
            f"<h2>Last {SHOWN_CALLS} calls</h2><table>{_row('th', COLUMNS)}{rows}</table></body></html>"
        )


def _pairs(values: Mapping[str, object]) -> str:
    return f"<table>{_row('th', values.keys())}{_row('td', values.values())}</table>"


def _row(cell: str, values: Iterable[object]) -> str:
    return "<tr>" + "".join(f"<{cell}>{escape('–' if v is None else str(v))}</{cell}>" for v in values) + "</tr>"
