"""Results as JSON and as a table for people."""

import json
import statistics
from pathlib import Path

from benchmarks.cases import CASES, Case

RESULTS = Path(__file__).resolve().parent / "results"


def summarize(case: Case, rounds: list[dict[str, float]], yardstick: float) -> dict[str, object]:
    """Median and spread of a case; the ratio where the target is one."""
    values = sorted(one["value"] for one in rounds)
    median = round(statistics.median(values), 2)
    line: dict[str, object] = {
        "id": case.id, "what": case.what, "unit": case.unit, "median": median, "min": values[0], "max": values[-1],
        "more": {n: round(statistics.median(one[n] for one in rounds), 2) for n in rounds[0] if n != "value"},
        "target": case.target, "target_is": "x Y" if case.per_yardstick else case.unit,
    }  # fmt: skip
    if case.per_yardstick:
        line["ratio"] = round(median / yardstick, 2)
    if case.target is not None:
        reached = median / yardstick if case.per_yardstick else median
        line["met"] = reached <= case.target if case.at_most else reached >= case.target
    return line


def write(lines: list[dict[str, object]], *, machine: str, yardsticks: list[float], date: str) -> Path:
    """Write latest.json and latest.md; answers the table's path. Cases that did not run keep their last row."""
    RESULTS.mkdir(exist_ok=True)
    stored = RESULTS / "latest.json"
    rows_before = json.loads(stored.read_text())["cases"] if stored.exists() else []
    latest = {str(line["id"]): line for line in [*rows_before, *({**line, "date": date} for line in lines)]}
    cases = [latest[case.id] for case in CASES if case.id in latest]
    facts = {"date": date, "machine": machine, "yardstick_tps": yardsticks, "cases": cases}
    stored.write_text(json.dumps(facts, indent=1) + "\n")
    rows = [
        f"# Benchmark of {date}",
        "",
        f"Machine: {machine}. Yardstick Y (pgbench, scale 50, 16 clients, durable) of the last run, before and after: "
        f"{', '.join(f'{tps:,.0f}' for tps in yardsticks)} transactions/s. Medians of the rounds; ratios are to the"
        " yardstick of the row's own run.",
        "",
        "| id | what | median | spread | ratio to Y | target | met | more | date |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in cases:
        target = "–" if line["target"] is None else f"{line['target']} {line['target_is']}"
        met = {True: "yes", False: "no"}.get(bool(line["met"]), "") if "met" in line else ""
        more = ", ".join(f"{name} {value}" for name, value in dict(line["more"]).items())  # type: ignore[call-overload]
        rows.append(
            f"| {line['id']} | {line['what']} | {line['median']} {line['unit']} | {line['min']}–{line['max']} "
            f"| {line.get('ratio', '')} | {target} | {met} | {more} | {line['date']} |"
        )
    path = RESULTS / "latest.md"
    path.write_text("\n".join(rows) + "\n")
    return path
