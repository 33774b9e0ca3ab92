"""The plot: CPU per delivery of every server in every scenario, as SVG."""

from __future__ import annotations

from html import escape

from .ratios import Spread, cpu, of
from .results import Results
from .scenario import SCENARIOS, TITLES

WIDTH, LEFT, RIGHT = 860, 290, 90
ROW, BAR, HEAD, GAP = 20, 12, 26, 22
COLOURS = {"floor": "#9aa5b1", "ours": "#1f6feb"}
OTHERS = "#d29922"


def svg(results: Results) -> str:
    """One block of bars for each scenario, on one scale in the block; the line shows lowest and highest."""
    parts: list[str] = []
    y = 46.0
    for scenario in SCENARIOS:
        found = [each for each in results.measurements if each.scenario == scenario.name]
        known = [(name, spread) for name in results.servers if (spread := of(found, name, cpu)) is not None]
        if not known:
            continue
        parts.append(f'<text x="10" y="{y + 14:g}" class="head">{escape(TITLES[scenario.name])}</text>')
        y += HEAD
        # The slowest would flatten everybody else: its bar is cut, the number says how long it is.
        longest = 1.1 * sorted(spread.median for _, spread in known)[(len(known) - 1) * 3 // 4]
        for name, spread in sorted(known, key=lambda pair: pair[1].median):
            parts.append(_bar(results.servers[name]["title"], name, spread, longest, y))
            y += ROW
        y += GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y:g}" viewBox="0 0 {WIDTH} {y:g}">',
            "<style>text{font:12px sans-serif;fill:#24292f}.head{font-weight:bold}.title{font-size:15px}</style>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            '<text x="10" y="26" class="head title">Server CPU seconds per million deliveries, all processes</text>',
            *parts,
            "</svg>\n",
        ]
    )


def _bar(title: str, name: str, spread: Spread, longest: float, y: float) -> str:
    def x(value: float) -> float:
        return LEFT + min(value / longest, 1.0) * (WIDTH - LEFT - RIGHT)

    def cut(value: float) -> str:
        """The end of a bar that is longer than there is room for."""
        if value <= longest:
            return ""
        return f'<path d="M{end - 14:.1f} {y + BAR + 2:g}l6 -{BAR + 4}h4l-6 {BAR + 4}z" fill="#fff"/>'

    colour = COLOURS.get(name.partition("-")[0], OTHERS)
    middle = y + BAR / 2
    end = x(spread.median)
    return (
        f'<text x="{LEFT - 8}" y="{middle + 4:g}" text-anchor="end">{escape(title)}</text>'
        f'<rect x="{LEFT}" y="{y:g}" width="{end - LEFT:.1f}" height="{BAR}" fill="{colour}"/>'
        f"{cut(spread.median)}"
        f'<path d="M{x(spread.low):.1f} {middle:g}H{x(spread.high):.1f}" stroke="#24292f"/>'
        f'<text x="{max(end, x(spread.high)) + 6:.1f}" y="{middle + 4:g}">{spread.median:.3g}</text>'
    )
