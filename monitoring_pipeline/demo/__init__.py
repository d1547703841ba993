"""The demonstration: real flights of 2013, models trained on their first quarter, the rest replayed as a service's log.

Belongs here: the flights as a feature frame, the two models, the files a service and a label feed would have left
behind, the wording of the closing report. Does not belong here: anything a user's own monitor needs, reading or writing
Postgres (``warehouse``), running the graph.
"""
