"""The comparison's page: pictures and table in one file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from trading.execution.comparison.comparison import StrategyComparison
from trading.execution.comparison.marks import DARK, LIGHT
from trading.execution.comparison.words import days


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing as <svg>, its heading, and its content in words."""

    heading: str
    svg: str
    words: str


def page(heading: str, comparison: StrategyComparison, pictures: Sequence[Picture], remark: str) -> str:
    """Return the page as HTML."""
    figures = "\n".join(_figure(i, picture) for i, picture in enumerate(pictures))
    note = f'<p class="remark">{escape(remark)}</p>\n' if remark else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(heading)}</title>\n<style>{_css()}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(heading)}</h1>\n<p>{escape(_lead(comparison))}</p>\n{note}"
        f"{_table(comparison)}\n<div class=pictures>\n{figures}\n</div>\n{_TERMS}\n"
        "</main>\n</body>\n</html>\n"
    )


def _lead(comparison: StrategyComparison) -> str:
    count = len(comparison.strategies)
    size = comparison.order_size
    what = f"{size:,.10g} shares" if size else "orders"
    params = next((each.params for each in comparison.strategies if each.params), None)
    costs = ""
    if params:
        price = f", price {params.price:g} $" if params.price else ""
        costs = (
            f" Costs by Almgren and Chriss (2000) with intervals of {days(params.tau)}{price}, "
            f"half the spread {params.epsilon:g} $/share, temporary impact {params.eta:g} "
            f"($/share)/(share/day), permanent impact {params.gamma:g} $/share², volatility "
            f"{params.sigma:g} $/share/√day."
        )
    return f"{count} ways to execute {what}.{costs}"


def _figure(index: int, picture: Picture) -> str:
    svg = picture.svg.replace("<svg ", f'<svg role="img" aria-labelledby="h{index} c{index}" ', 1)
    return (
        f'<figure><h2 id="h{index}">{escape(picture.heading)}</h2>\n<div class="scroll">{svg}</div>\n'
        f'<figcaption id="c{index}">{escape(picture.words)}</figcaption></figure>'
    )


_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "strategy": ("strategy", str),
    "expected_cost_bps": ("cost [bp]", lambda value: f"{value:,.2f}"),
    "expected_cost": ("cost [$]", lambda value: f"{value:,.2f}"),
    "risk": ("risk [$]", lambda value: f"{value:,.2f}"),
    "cost_vs_baseline": ("cost against the baseline [$]", lambda value: f"{value:+,.2f}"),
    "risk_vs_baseline": ("risk against the baseline [$]", lambda value: f"{value:+,.2f}"),
    "num_slices": ("slices", lambda value: f"{value:.0f}"),
    "max_slice_pct": ("largest slice [%]", lambda value: f"{value:.2f}"),
    "min_slice_pct": ("smallest slice [%]", lambda value: f"{value:.2f}"),
    "front_loaded": ("front-loaded", lambda value: "yes" if value else "no"),
    "risk_aversion": ("λ [1/$]", lambda value: f"{value:g}"),
    "note": ("note", str),
}
"""Column of the summary table: its heading, and how a value is written."""


def _table(comparison: StrategyComparison) -> str:
    rows = comparison.summary_table().to_dict("records")
    shown = [name for name in _COLUMNS if any(_is_known(row[name]) for row in rows)]
    head = "".join(f'<th scope="col"{_style_of(name)}>{escape(_COLUMNS[name][0])}</th>' for name in shown)
    body = "\n".join(_row(row, shown) for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Summary table"><table>'
        f"<caption>Baseline: {escape(comparison.baseline_name if comparison.baseline else 'none')}</caption>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def _row(row: dict[Any, Any], shown: Sequence[str]) -> str:
    texts = [_written(name, row[name]) for name in shown]
    cells = "".join(
        f"<td{_style_of(name)}>{text}</td>" for name, text in zip(shown[1:], texts[1:], strict=True)
    )
    return f'<tr><th scope="row">{texts[0]}</th>{cells}</tr>'


def _written(column: str, value: object) -> str:
    if value == "":
        return ""
    return escape(_COLUMNS[column][1](value)) if _is_known(value) else "–"


def _style_of(column: str) -> str:
    return " class=words" if column == "note" else ""


def _is_known(value: object) -> bool:
    return not (value is None or value == "" or (isinstance(value, float) and math.isnan(value)))


_TERMS = (
    "<p class=terms>Cost: expected cost against the price before the first trade: permanent impact, half "
    "the spread and temporary impact; bp: basis points of the order's value. Risk: standard deviation of "
    "that cost from price moves while shares are held. λ: the aversion to risk of a schedule's making.</p>"
)


def _css() -> str:
    light = ";".join(f"--{role}:{colour}" for role, colour in LIGHT.items())
    dark = ";".join(f"--{role}:{colour}" for role, colour in DARK.items())
    return f":root{{{light}}}\n@media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n{_CSS}"


_CSS = """*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"DejaVu Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:24px 20px 48px}
h1{font-size:1.4rem;margin:0 0 6px}h2{font-size:1.05rem;margin:0 0 6px}
.remark{border-left:4px solid var(--s1);padding-left:10px}
.terms,figcaption,caption{color:var(--dim);font-size:.88rem}
.scroll{overflow-x:auto}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:32px 28px;
margin:28px 0}
@media(min-width:1120px){figure:nth-child(2){grid-row:span 2}}
figure{margin:0;min-width:0}figcaption{margin-top:6px}
svg{display:block;width:100%;min-width:460px;height:auto;font-family:inherit}
svg *{stroke-linejoin:round;stroke-linecap:butt}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
caption{text-align:left;padding-bottom:4px}
th,td{padding:6px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
thead th{color:var(--dim);font-weight:600;font-size:.8rem;white-space:normal;vertical-align:bottom}
th:first-child,.words{text-align:left}td.words{white-space:normal;min-width:14em}
@media print{main{max-width:none}figure{break-inside:avoid}}
"""
