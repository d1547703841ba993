"""Running the service: uvicorn with several workers that count together."""

from __future__ import annotations

import os

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.example.place import Place
from monitoring_pipeline.settings import Settings


def serve(port: int = 8000, workers: int = 2, host: str = "127.0.0.1") -> None:
    """Serves until SIGINT or SIGTERM. Raises UserError for what would stop every worker."""
    import uvicorn

    # A request is one row: threads of the boosting would only wait for each other. Read when scikit-learn is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from monitoring_pipeline.demo.service_model import load_service_model
    from monitoring_pipeline.example.service import monitored_name

    place = Place(Settings().home.resolve())
    monitored_name(place)
    load_service_model(place.home)
    os.environ.update(MONITORING_HOME=str(place.home), PROMETHEUS_MULTIPROC_DIR=str(place.counters))
    factory = "monitoring_pipeline.example.service:create_app"
    with place.occupied():
        try:
            uvicorn.run(factory, factory=True, host=host, port=port, workers=workers, log_level="warning",
                        access_log=False, timeout_graceful_shutdown=10)  # fmt: skip
        except SystemExit as stopped:
            if stopped.code:
                raise UserError(f"the service could not start on port {port}; see its output above") from None
