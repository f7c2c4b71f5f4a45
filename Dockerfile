# The agent as an image: docs/image.md. `make image` builds it, with no registry.
#
#   docker run -d --name dockferry --group-add "$(stat -c %g /var/run/docker.sock)" \
#     -v /var/run/docker.sock:/var/run/docker.sock -v dockferry:/var/lib/dockferry \
#     -e DOCKFERRY_SINK_LOKI=loki+http://loki:3100 dockferry
#
# It runs as nobody in particular (65532), who may not open the Engine's socket: --group-add lends it the
# socket's group. The socket's group differs from host to host, so no image can know it.

# Any base of the Debian family with Python ≥ 3.11. What is used of it is copied; the rest stays behind.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# A mirror of PyPI, where there is one.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# build/ca.crt is there when this network signs PyPI's certificate itself (see conf/image); it stays in this stage.
COPY conf/*.lock conf/rootfs.py build/ca.cr[t] ./
RUN if [ -e ca.crt ]; then export PIP_CERT=/src/ca.crt; fi \
 && python3 -m venv /tools \
 && python3 -m venv --without-pip /opt/dockferry \
 && set -- --quiet --no-compile --only-binary :all: --require-hashes \
 && /tools/bin/pip install "$@" --requirement build.lock \
 && /tools/bin/pip --python /opt/dockferry/bin/python install "$@" --requirement requirements.lock \
 && python3 rootfs.py /rootfs /opt/dockferry \
 && install --directory --mode=700 /state/dockferry
COPY . .
RUN /tools/bin/pip --quiet wheel --no-build-isolation --no-deps --no-index --wheel-dir /wheel . \
 && /tools/bin/pip --quiet --python /opt/dockferry/bin/python install --no-compile --no-deps --no-index \
    --no-warn-script-location --root /agent /wheel/*.whl \
 && python3 -m compileall -q --invalidation-mode unchecked-hash -s /agent -p / /agent

# What changes seldom first: a new version of the agent is one small layer.
FROM scratch
COPY --from=build /rootfs/ /
COPY --from=build /opt/dockferry /opt/dockferry
# A named volume starts as a copy of this: empty, and nobody else's.
COPY --from=build --chown=65532:65532 /state/ /var/lib/
COPY --from=build /agent/ /
ENV PATH=/opt/dockferry/bin:/usr/local/bin:/usr/bin:/bin
USER 65532:65532
VOLUME /var/lib/dockferry
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["dockferry", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["dockferry"]
CMD ["run"]
# Last, as they differ from build to build.
ARG BASE
ARG BASE_DIGEST=""
ARG CREATED=""
ARG REVISION=""
ARG VERSION=""
LABEL org.opencontainers.image.title="dockferry" \
      org.opencontainers.image.description="Delivers every container's output to as many places as you like" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
