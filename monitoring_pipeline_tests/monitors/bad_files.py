"""Monitor files that no reader of YAML or of values was made for, each by what it holds."""

from __future__ import annotations

import os
from pathlib import Path

GOOD = """\
name: sound
task: binary
schema: {prediction_id: id, event_time: at, score: score, numerical: [age]}
predictions: {path: log.parquet}
reference: {path: reference.parquet}
start: 2024-01-01
"""

TEXTS: dict[str, str] = {
    "a_directory_of_zones": GOOD.replace("event_time: at", "event_time: at, timezone: America"),
    "a_huge_duration": GOOD + "labels: {max_delay: 99999999999999999999d}\n",
    "a_duration_beyond_dates": GOOD + "labels: {max_delay: 999999999d}\n",
    "an_infinite_duration": GOOD + f"labels: {{max_delay: {'9' * 400}w}}\n",
    "an_iso_duration_beyond_dates": GOOD + "retention: {profiles: P999999999D}\n",
    "before_year_1_in_utc": GOOD.replace("reference.parquet}", "r.parquet, from: 0001-01-01T00:00:00+14:00}"),
    "after_year_9999_in_utc": GOOD.replace("reference.parquet}", "r.parquet, to: 9999-12-31T23:59:59-14:00}"),
    "a_start_in_year_1": GOOD.replace("2024-01-01", "0001-01-01"),
    "an_end_in_year_9999": GOOD + "end: 9999-12-31\n",
    "brackets": "[" * 3000,
    "closed_brackets": GOOD + "segments: " + "[" * 3000 + "]" * 3000,
    "nested_blocks": "\n".join(" " * i + "a:" for i in range(1500)),
    "nested_blocks_of_a_list": "- " * 1500,
    "a_list_in_itself": GOOD + "segments: &s [*s]\n",
    "a_mapping_in_itself": "&a {b: *a}\n",
    "lists_of_lists": GOOD + "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
    ) + "bins: *a11\n",
    "no_bool": GOOD + "paused: !!bool xyz\n",
    "no_int": GOOD + "bins: !!int ''\n",
    "no_float": GOOD + "labels: {coverage: !!float ''}\n",
    "no_day": GOOD + "end: 2024-13-45\n",
    "a_number_of_5000_digits": GOOD + f"bins: {'9' * 5000}\n",
    "an_unknown_tag": GOOD + "bins: !python/name:os.system x\n",
    "a_nul": GOOD + "\0",
    "an_escaped_nul": GOOD.replace("log.parquet", '"log\\0.parquet"'),
    "half_a_surrogate_pair": GOOD + 'description: "\\ud800"\n',
    "a_null_key": GOOD + "~: 1\n",
    "a_key_that_is_a_list": GOOD + "? [a]\n: 1\n",
}  # fmt: skip


def write_bad_files(directory: Path) -> list[Path]:
    """All of them, and binary junk, an endless pipe, a directory, a loop of links and a file that nobody may read."""
    paths = []
    for name, text in TEXTS.items():
        paths.append(directory / f"{name}.yaml")
        paths[-1].write_text(text, encoding="utf-8")
    (directory / "junk.yaml").write_bytes(bytes(range(256)) * 40)
    (directory / "utf16.yaml").write_bytes(GOOD.encode("utf-16"))
    (directory / "x.yaml").mkdir()
    (directory / "x.yml").write_text("[")
    (directory / "é.yaml").write_text("[")
    (directory / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(directory / "pipe.yaml")
    # Nobody may read what lies at address 0, not even root.
    (directory / "unreadable.yaml").symlink_to("/proc/self/mem")
    others = ("junk.yaml", "utf16.yaml", "x.yaml", "x.yml", "é.yaml", "loop.yaml", "pipe.yaml", "unreadable.yaml")
    return paths + [directory / name for name in others]
