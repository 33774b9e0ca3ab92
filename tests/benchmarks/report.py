"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import floor

from .load import Measurement
from .ratios import Figure, Spread, cpu, of, p99, ratio
from .results import Results
from .scenario import SCENARIOS, TITLES
from .targets import targets

NONE = "–"


def markdown(results: Results) -> str:
    """The whole of results.md."""
    parts = [_head(results), _targets(results)]
    for scenario in SCENARIOS:
        found = [each for each in results.measurements if each.scenario == scenario.name]
        if found:
            parts.append(_scenario(results, TITLES[scenario.name], found))
    parts += [_stages(results), _idle(results), _servers(results), _missing(results)]
    return "\n".join(part for part in parts if part)


def profiles(results: Results) -> str:
    """The whole of profile.md: where ours spends its CPU in the scenarios in which it missed a target."""
    parts = [
        "# Where the CPU goes\n",
        f"Written by `scripts/bench` on {results.at}, at {results.revision}, for the scenarios in which a target was "
        "missed. py-spy looked at the main thread of each process while the load was on; stacks that only waited are "
        "left out. What the kernel does in a system call is that call's, and ZeroMQ's own thread is not in it.\n",
    ]
    for scenario in SCENARIOS:
        found = [each for each in results.profiles if each.scenario == scenario.name]
        if not found:
            continue
        parts.append(f'<a id="{scenario.name}"></a>\n\n## {TITLES[scenario.name]}\n')
        head = ("", *(f"{each.process}, {each.stacks} stacks" for each in found))
        for title, shares in (
            ("What it was doing", [each.kinds for each in found]),
            ("In which function", [each.alone for each in found]),
            ("In which of this project's functions, with all they call", [each.within for each in found]),
        ):
            known = [dict(each) for each in shares]
            names = sorted(
                {name for each in known for name in each}, key=lambda name: (-sum(e.get(name, 0) for e in known), name)
            )
            rows = [(name, *(f"{each[name]:.1%}" if name in each else NONE for each in known)) for name in names]
            parts.append(f"{title}:\n\n{table(head, rows)}")
    return "\n".join(parts)


def _head(results: Results) -> str:
    machine = results.machine
    foreign = of(results.measurements, "ours", lambda each: each.foreign)
    everyone = sorted(each.foreign for each in results.measurements)
    lines = [
        "# Results",
        "",
        f"Written by `scripts/bench{' --quick' if results.quick else ''}` on {results.at}, at {results.revision}; "
        "what the columns mean and what they are worth: [README.md](README.md).",
        "",
        f"{machine['cpu']}, {machine['cpus']} CPUs, {machine['memory']}, {machine['system']}, Python "
        f"{machine['python']}. Load average before: {results.load_before:.2f}.",
    ]
    if everyone and foreign is not None:
        lines.append(
            f"Other programs used {everyone[len(everyone) // 2]:.0%} of the machine in the median measurement and "
            f"{everyone[-1]:.0%} in the worst."
        )
    return "\n".join([*lines, ""])


def _targets(results: Results) -> str:
    found = targets(results.measurements, results.idle, results.stages)
    marks = {True: "reached", False: "**missed**", None: NONE}
    seen = {profile.scenario for profile in results.profiles}
    rows = [
        (
            each.what,
            each.limit,
            each.measured,
            marks[each.reached],
            each.missed_by,
            f"[profile](profile.md#{each.scenario})" if each.scenario in seen and each.reached is False else "",
        )
        for each in found
    ]
    return "## Targets\n\n" + table(("what", "target", "measured", "", "missed by", "why"), rows)


def _scenario(results: Results, title: str, found: Sequence[Measurement]) -> str:
    names = [name for name in results.servers if any(each.server == name for each in found)]
    known = {name: of(found, name, cpu) for name in names}
    names.sort(key=lambda name: spread.median if (spread := known[name]) else float("inf"))
    rows = [
        (
            results.servers[name]["title"],
            _number(known[name]),
            _number(ratio(found, name, "floor")),
            _number(ratio(found, name, "ours")),
            _percent(of(found, name, lambda each: _rounded_down(each.delivered))),
            _percent(of(found, name, lambda each: _rounded_down(each.in_time))),
            _number(of(found, name, lambda each: each.p50_ms)),
            _number(of(found, name, p99)),
            _number(of(found, name, lambda each: each.kb_per_connection)),
            str(sum(each.server == name for each in found)),
        )
        for name in names
    ]
    head = (
        "",
        "CPU s / million",
        "× floor",
        "× ours",
        "delivered",
        "in time",
        "p50 ms",
        "p99 ms",
        "kB / connection",
        "n",
    )
    text = f"## {title}\n\n" + table(head, rows)
    splits = [row for name in names if name.startswith("ours") for row in [_split(results, found, name)]]
    roles = ("worker", "forwarder", "nginx", "supervision")
    if splits:
        text += "\nOur CPU seconds per million deliveries, by process:\n\n" + table(("", *roles), splits)
    return text


def _split(results: Results, found: Sequence[Measurement], name: str) -> tuple[str, ...]:
    def part(role: str) -> Figure:
        return lambda each: each.cpu_of(role)

    roles = ("worker", "forwarder", "nginx", "supervision")
    return (results.servers[name]["title"], *(_number(of(found, name, part(role))) for role in roles))


def _stages(results: Results) -> str:
    stages = results.stages
    if stages is None:
        return ""
    rows = [
        ("worker: `publish` to acknowledgement", f"{stages.worker_send:.1f}"),
        ("forwarder: number, acknowledge, fan out", f"{stages.forwarder:.1f}"),
        ("forwarder: journal", f"{stages.journal:.1f}"),
        ("worker: receive, until the hub has it", f"{stages.worker_receive:.1f}"),
    ]
    return (
        "## Publications through the forwarder\n\n"
        f"{stages.rate:,.0f} per second, acknowledged and journaled, with the forwarder on one core and as much sent "
        f"as it takes; {stages.real_rate:,.0f} per second from one real worker to another, both on the other core.\n\n"
        + table(("stage", "CPU µs / publication"), rows)
    )


def _idle(results: Results) -> str:
    idle = results.idle
    if idle is None:
        return ""
    return (
        "## Idle connections\n\n"
        f"{idle.connected:,} of {idle.asked:,} clients connected to one worker within {idle.connect_seconds:.1f} s and "
        f"stayed idle for {idle.seconds_idle:g} s; {idle.received:,} received the broadcast that followed, the last "
        f"after {idle.broadcast_ms:.0f} ms. The worker's memory grew by {idle.kb_per_connection:.1f} kB a connection.\n"
    )


def _servers(results: Results) -> str:
    rows = [(each["title"], each["how"], each["version"]) for each in results.servers.values()]
    return "## What was run\n\n" + table(("", "how", "version"), rows)


def _missing(results: Results) -> str:
    rows = list(results.missing.items())
    return "## Not measured\n\n" + table(("what", "why"), rows) if rows else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""

    def lines() -> Iterator[str]:
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        for row in rows:
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

    return "\n".join(lines()) + "\n"


def _number(spread: Spread | None) -> str:
    return NONE if spread is None else format(spread)


def _rounded_down(share: float) -> float:
    """So that 100 % means all. The edges of the window blur, which makes some shares larger than that."""
    return min(floor(share * 1000) / 1000, 1.0)


def _percent(spread: Spread | None) -> str:
    return NONE if spread is None else format(spread, ".1%")
