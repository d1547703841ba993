"""The command line: thin, over the same graph and stages. One module a command; heavy imports happen inside commands.

Exit codes: 0 done, 1 the work failed or data was refused (said why), 2 wrong usage.
"""

from monitoring_pipeline.cli.app import main

__all__ = ["main"]
