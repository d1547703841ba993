"""What a monitor is: the declaration of one deployed model.

Belongs here: the pydantic declaration, reading it from YAML with line numbers, the windows it is cut into, the first
draft of a declaration. Does not belong here: reading data (``lake``), anything about Dagster or Postgres.
"""

from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.windows import Window

__all__ = ["Monitor", "Window"]
