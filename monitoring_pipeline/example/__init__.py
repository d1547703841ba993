"""The example service: the flights model behind FastAPI, instrumented, with a client that replays the real flights.

Belongs here: the service, the replay client, what sets a live figure beside the pipeline's. It is written to be read
and copied: what it does to be monitored stands in ``service``, in a few lines. Does not belong here: anything a service
of a user's own would need from us (``serving``), the model and the flights (``demo``), running the graph (``cli``).
"""
