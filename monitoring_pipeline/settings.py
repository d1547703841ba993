"""Settings from the environment: where the system keeps its state, which database, which monitors."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment; the command line's global options override.

    ``home`` holds the embedded Postgres, the lake (unless ``lake_url`` says otherwise), Dagster's home and reports.
    ``engine`` counts rows into profiles: in this process, or on the Spark cluster of ``spark_master``.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    home: Path = Field(default=Path(".monitoring"), validation_alias="MONITORING_HOME")
    monitors_dir: Path = Field(default=Path("monitors"), validation_alias="MONITORS_DIR")
    database_url: str | None = Field(default=None, validation_alias="DATABASE_URL")
    database_patience: float = Field(default=20.0, validation_alias="MONITORING_DATABASE_PATIENCE", ge=0)
    lake_url: str | None = Field(default=None, validation_alias="MONITORING_LAKE")
    duckdb_memory_limit: str = Field(
        default="600MB", validation_alias="MONITORING_DUCKDB_MEMORY", pattern=r"^\d+(\.\d+)? ?[kKMGT]i?B$"
    )
    duckdb_threads: int = Field(default=2, validation_alias="MONITORING_DUCKDB_THREADS", ge=1)

    engine: Literal["duckdb", "spark"] = Field(default="duckdb", validation_alias="MONITORING_ENGINE")
    spark_master: str = Field(default="spark://127.0.0.1:7077", validation_alias="MONITORING_SPARK_MASTER")

    def private(self, part: str) -> Path:
        """A directory of the home by its name, made if it is not there: what lies below, no other account may read.

        The home itself may be entered: of root's, the embedded server's account must. Raises OSError.
        """
        directory = self.home.resolve() / part
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return directory

    @property
    def lake(self) -> str:
        """Root of the lake: a local directory or an fsspec URL."""
        return self.lake_url or str((self.home / "lake").resolve())
