import subprocess
import sys


def test_importing_serving_loads_nothing_heavy() -> None:
    heavy = ("dagster", "pandas", "sqlalchemy", "fastapi", "starlette", "pyarrow", "duckdb", "sklearn", "pydantic")
    code = f"import monitoring_pipeline.serving, sys; print([m for m in {heavy!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
