"""The demo prepared once for the tests of this room: the short replay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from monitoring_pipeline.demo.flights import load_flights
from monitoring_pipeline.demo.preparation import Prepared, prepare


@dataclass(frozen=True)
class Demo:
    home: Path
    prepared: Prepared

    def files(self, monitor: str, what: str) -> list[Path]:
        return sorted((self.home / "demo" / "data" / monitor / what).glob("date=*/*.parquet"))

    def rows(self, monitor: str, what: str) -> pd.DataFrame:
        return pd.concat([pd.read_parquet(path, partitioning=None) for path in self.files(monitor, what)])

    def reference(self, monitor: str) -> pd.DataFrame:
        return pd.read_parquet(self.home / "demo" / "data" / monitor / "reference.parquet")


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    return load_flights().frame


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo home")
    return Demo(home, prepare(home, fast=True))
