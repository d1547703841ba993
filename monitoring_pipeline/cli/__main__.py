"""``python -m monitoring_pipeline.cli``: what ``up`` starts as a child."""

from monitoring_pipeline.cli.app import main

main()
