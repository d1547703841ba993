#!/usr/bin/env python3
"""Writes ``rules/columns.yml``: the recording rules of live drift, the same for each window.

    python prometheus/generate.py [--scrape-interval 15] [--windows 30m,12h] [--out prometheus/rules/columns.yml]

Only the 5-minute rules read what the services export; the longer windows add up whole 5-minute pieces (a day's counts
are the sum of its hours' counts), so their cost does not grow with the number of replicas.

The gain of a counter over a piece is max - min, not ``increase``: that extrapolates each bucket by itself (one that
stands near zero less than its neighbour), which bends the shares by up to a scrape interval over the window. The range
is one scrape interval longer than the piece, so that consecutive pieces meet in one sample and nothing falls between
them. A replica that restarted within the piece is counted by ``increase``, which knows resets.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
COLUMN = "monitor, model_version, column"
BIN = f"{COLUMN}, le, category"  # numerical bins carry le, categorical ones category


@dataclass(frozen=True)
class Rule:
    record: str
    expr: str
    why: str = ""


@dataclass(frozen=True)
class Group:
    name: str
    interval: str
    rules: tuple[Rule, ...]


PIECE = 5  # minutes
UNITS = {"m": 1, "h": 60, "d": 24 * 60}


@dataclass(frozen=True)
class Window:
    """A window longer than a piece, by its name: ``30m``, ``12h``, ``2d``."""

    name: str
    minutes: int

    @property
    def range(self) -> str:
        """Of the subquery; a millisecond short, as ranges are closed at both ends."""
        hours, minutes = divmod(self.minutes - 1, 60)
        return f"{f'{hours}h' if hours else ''}{minutes}m59s999ms"

    @property
    def every(self) -> str:
        """Evaluation interval; below 5m, after which Prometheus treats a value as stale."""
        return "2m" if self.minutes <= 60 else "4m"


def window(name: str) -> Window:
    """Raises ArgumentTypeError."""
    found = re.fullmatch(r"([1-9]\d*)([mhd])", name)
    minutes = int(found[1]) * UNITS[found[2]] if found else 0
    if minutes <= PIECE or minutes % PIECE:
        raise argparse.ArgumentTypeError(f"{name!r} is no window: write a multiple of 5 minutes, as 30m, 12h, 2d")
    return Window(name, minutes)


def windows(names: str) -> tuple[Window, ...]:
    """Raises ArgumentTypeError."""
    found = tuple(window(name.strip()) for name in names.split(","))
    if len({one.minutes for one in found}) < len(found):
        raise argparse.ArgumentTypeError(f"{names!r} names a window twice")
    return found


LONGER = windows("30m,12h")


def gain(metric: str, by: str, scrape_interval: int, whole: str = "", ignoring: str = "") -> str:
    """What ``metric`` gained within 5 minutes, summed over replicas.

    ``whole`` selects the series by which a restart is seen, where not each series shows it (a bucket that stood at 0
    does not fall); ``ignoring`` is the label it differs in.
    """
    piece = f"[{300 + scrape_interval - 1}s999ms]"
    restarted = f"(resets({metric}{whole}{piece}) > 0)"
    if ignoring and not whole:
        restarted = f"(max without ({ignoring}) (resets({metric}{piece})) > 0)"
    unless = f"unless ignoring ({ignoring})" if ignoring else "unless"
    return (
        f"sum by ({by}) (\n"
        f"    (max_over_time({metric}{piece}) - min_over_time({metric}{piece}))\n"
        f"      {unless} {restarted}\n"
        f"  or increase({metric}[5m]))"
    )


def filled(share: str, least: str, among: str = "") -> str:
    """Evidently's zero fill: a share of 0 becomes 1e-4, or m/1e6 where the least other share m is at most 1e-4.

    ``among`` restricts the bins that are filled to those it has: bins empty on both sides take no part.
    """
    empty = f"({share} == 0 and on ({BIN}) {among})" if among else f"({share} == 0)"
    return f"({share} > 0)\nor ({empty} + on ({COLUMN}) group_left () (({least} <= 1e-4) / 1e6 or {least} * 0 + 1e-4))"


def reference_rules() -> tuple[Rule, ...]:
    return (
        Rule(
            "model:reference_ambiguous",
            f"count by ({COLUMN}) (count by ({COLUMN}, prev_le) (\n"
            f"  group by ({COLUMN}, le, prev_le) (model_reference_value_bucket)) > 1)\n"
            f"or max by ({COLUMN}) (count by ({COLUMN}, category) (model_reference_category))\n"
            f"  > min by ({COLUMN}) (count by ({COLUMN}, category) (model_reference_category))\n"
            f"or max by ({COLUMN}) (model_reference_count) > min by ({COLUMN}) (model_reference_count)",
            "columns of which replicas hold different references; two chains of edges would fail every monitor's rules",
        ),
        Rule(
            "model:reference_cumulative",
            f"max by ({COLUMN}, le, prev_le) (model_reference_value_bucket)\n"
            f"  unless on ({COLUMN}) model:reference_ambiguous",
            "every replica publishes the reference; it counts once",
        ),
        Rule(
            "model:reference_cdf",
            f"sum by ({COLUMN}, le) (model:reference_cumulative)\n"
            f'  / on ({COLUMN}) group_left () (sum by ({COLUMN}) (model:reference_cumulative{{le="+Inf"}}) > 0)',
        ),
        Rule(
            "model:reference_bin",
            f"(max by ({BIN}) (model_reference_category)\n"
            f"  or sum by ({COLUMN}, category) (label_replace(\n"
            f'    max by ({COLUMN}) (model_reference_category) * 0, "category", "__unseen__", "", "")))\n'
            f"  unless on ({COLUMN}) model:reference_ambiguous\n"
            f"or sum by ({COLUMN}, le) (\n"
            f'    (model:reference_cumulative{{prev_le!="-Inf"}} - on ({COLUMN}, prev_le) group_left ()\n'
            f'      label_replace(model:reference_cumulative, "prev_le", "$1", "le", "(.*)"))\n'
            f'    or model:reference_cumulative{{prev_le="-Inf"}})',
            "counts per bin: categories as they are, numerical bins as differences along the chain le -> prev_le",
        ),
        Rule("model:reference_bins", f"count by ({COLUMN}) (model:reference_bin)", "how many"),
        Rule(
            "model:reference_share",
            f"model:reference_bin / on ({COLUMN}) group_left () (sum by ({COLUMN}) (model:reference_bin) > 0)",
        ),
        Rule("model:reference_least_share", f"min by ({COLUMN}) (model:reference_share > 0)"),
        Rule("model:reference_share_filled", filled("model:reference_share", "model:reference_least_share")),
        Rule(
            "model:reference_missing_share",
            f"max by ({COLUMN}) (model_reference_missing) / (max by ({COLUMN}) (model_reference_count) > 0)",
        ),
        Rule(
            "model:reference_nonfinite_share",
            f"1 - model:reference_missing_share\n"
            f"  - sum by ({COLUMN}) (model:reference_bin) / (max by ({COLUMN}) (model_reference_count) > 0)",
            "what is neither missing nor in a bin: NaN and infinite",
        ),
    )


def piece_counts(scrape_interval: int) -> tuple[Rule, ...]:
    return (
        Rule(
            "model:column_cumulative:5m",
            gain("model_column_value_bucket", f"{COLUMN}, le", scrape_interval, '{le="+Inf"}', "le"),
            "values at or below each edge, gained in 5 minutes",
        ),
        Rule(
            "model:column_category:5m",
            gain("model_column_category_total", f"{COLUMN}, category", scrape_interval, ignoring="category"),
        ),
        Rule("model:column_missing:5m", gain("model_column_missing_total", COLUMN, scrape_interval)),
        Rule("model:column_nonfinite:5m", gain("model_column_nonfinite_total", COLUMN, scrape_interval)),
    )


def added_counts(window: str, pieces: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(f"model:column_{name}:{window}", f"sum_over_time(model:column_{name}:5m[{pieces}:5m])")
        for name in ("cumulative", "category", "missing", "nonfinite")
    )


def figures(w: str) -> tuple[Rule, ...]:
    """From counts to metrics; the same text for each window."""
    cumulative, category = f"model:column_cumulative:{w}", f"model:column_category:{w}"
    live, reference = f"model:column_share_filled:{w}", "model:reference_share_filled"
    ratio = f"model:column_log_ratio:{w}"
    return (
        Rule(
            f"model:column_values:{w}",
            f'sum by ({COLUMN}) ({cumulative}{{le="+Inf"}})\nor sum by ({COLUMN}) ({category})',
            "values that stand in a bin; what `n >= 500` in the alerts means",
        ),
        Rule(
            f"model:column_rows:{w}",
            f"model:column_values:{w}\n"
            f"  + (model:column_missing:{w} or model:column_values:{w} * 0)\n"
            f"  + (model:column_nonfinite:{w} or model:column_values:{w} * 0)",
        ),
        Rule(
            f"model:column_bin:{w}",
            f"{category}\n"
            f'or (model:reference_bin{{category!=""}} * 0 and on ({COLUMN}) {category})\n'
            f"or clamp_min({cumulative} - on ({COLUMN}, le) (\n"
            f'    (model:reference_cumulative{{prev_le!="-Inf"}} * 0 + on ({COLUMN}, prev_le) group_left ()\n'
            f'      label_replace({cumulative}, "prev_le", "$1", "le", "(.*)"))\n'
            f'    or model:reference_cumulative{{prev_le="-Inf"}} * 0), 0)',
            "a category nobody sent yet counts 0, whether or not the service publishes it from its start",
        ),
        Rule(
            f"model:column_strange_bins:{w}",
            f'count by ({COLUMN}) ({cumulative}) - count by ({COLUMN}) (model:column_bin:{w}{{le!=""}}) > 0\n'
            f'or count by ({COLUMN}) (model:column_bin:{w}{{category!=""}})\n'
            f'  - count by ({COLUMN}) (model:reference_bin{{category!=""}}) > 0',
            "bins counted in the window that the reference does not have: it was published again, with other bins",
        ),
        Rule(
            f"model:column_share:{w}",
            f"model:column_bin:{w} / on ({COLUMN}) group_left () (\n"
            f"  (sum by ({COLUMN}) (model:column_bin:{w}) > 0) unless model:column_strange_bins:{w})",
        ),
        Rule(f"model:column_least_share:{w}", f"min by ({COLUMN}) (model:column_share:{w} > 0)"),
        Rule(
            live,
            filled(f"model:column_share:{w}", f"model:column_least_share:{w}", "model:reference_share > 0"),
            "only bins that hold rows on either side; psi and kl join on them",
        ),
        Rule(ratio, f"ln({reference} / on ({BIN}) {live})", "ln(p / q), p the reference"),
        Rule(
            f"model:column_reference_ratio:{w}",
            f"sum by ({COLUMN}) ({reference} * on ({BIN}) {ratio})",
            "sum(p ln(p / q))",
        ),
        Rule(
            f"model:column_reference_sum:{w}",
            f"sum by ({COLUMN}) ({reference} and on ({BIN}) {ratio})",
            "sum(p) after the fill",
        ),
        Rule(
            f"model:column_ks:{w}",
            f"max by ({COLUMN}) (abs(\n"
            f"    {cumulative} / on ({COLUMN}) group_left () (\n"
            f'      (sum by ({COLUMN}) ({cumulative}{{le="+Inf"}}) > 0) unless model:column_strange_bins:{w})\n'
            f"  - on ({COLUMN}, le) model:reference_cdf))",
            "Kolmogorov-Smirnov over the reference's edges: a lower bound of the unbinned value",
        ),
        Rule(
            f"model:column_psi:{w}",
            f"model:column_reference_ratio:{w} - sum by ({COLUMN}) ({live} * on ({BIN}) {ratio})",
            "sum((p - q) ln(p / q)) over filled shares, not renormalised",
        ),
        Rule(
            f"model:column_kl:{w}",
            f"model:column_reference_ratio:{w} / model:column_reference_sum:{w}\n"
            f"  + ln(sum by ({COLUMN}) ({live}) / model:column_reference_sum:{w})",
            "sum(p ln(p / q)); the last term renormalises both after the fill",
        ),
        Rule(
            f"model:column_unseen_share:{w}",
            f'sum by ({COLUMN}) (model:column_share:{w}{{category="__unseen__"}})',
        ),
        Rule(
            f"model:column_missing_share:{w}",
            f"(model:column_missing:{w} or model:column_rows:{w} * 0) / (model:column_rows:{w} > 0)",
        ),
        Rule(
            f"model:column_nonfinite_share:{w}",
            f"(model:column_nonfinite:{w} or model:column_rows:{w} * 0) / (model:column_rows:{w} > 0)",
        ),
    )


def groups(scrape_interval: int = 15, longer: tuple[Window, ...] = LONGER) -> list[Group]:
    return [
        Group("model-reference", "2m", reference_rules()),
        Group("model-columns-5m", "1m", (*piece_counts(scrape_interval), *figures("5m"))),
        *(
            Group(f"model-columns-{w.name}", w.every, (*added_counts(w.name, w.range), *figures(w.name)))
            for w in longer
        ),
    ]


def render(found: list[Group], scrape_interval: int) -> str:
    lines = [
        f"# Written by prometheus/generate.py for a scrape interval of {scrape_interval} s; change that, not this.",
        "groups:",
    ]
    for group in found:
        lines += [f"- name: {group.name}", f"  interval: {group.interval}", "  rules:"]
        for rule in group.rules:
            if rule.why:
                lines.append(f"  # {rule.why}")
            lines += [f"  - record: {rule.record}", "    expr: |"]
            lines += [f"      {line}" for line in rule.expr.splitlines()]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scrape-interval", type=int, default=15, help="seconds between scrapes of the services")
    parser.add_argument("--windows", type=windows, default=LONGER, help="besides 5m; whole 5 minutes, as 30m,12h,2d")
    parser.add_argument("--out", type=Path, default=HERE / "rules" / "columns.yml")
    options = parser.parse_args()
    if not 1 <= options.scrape_interval <= 60:
        parser.error("--scrape-interval: 1 to 60 seconds; a 5-minute piece needs several samples")
    options.out.write_text(render(groups(options.scrape_interval, options.windows), options.scrape_interval))
    alerts = (HERE / "rules" / "drift.yml").read_text()
    for name in sorted(set(re.findall(r"model:column_\w+:(\w+)", alerts)) - {"5m", *(w.name for w in options.windows)}):
        print(f"alerts in {HERE / 'rules' / 'drift.yml'} rest on {name}: they can no longer fire", file=sys.stderr)


if __name__ == "__main__":
    main()
