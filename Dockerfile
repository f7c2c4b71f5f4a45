# The agent as an image. Any base with Python ≥ 3.11 will do; `make image` makes one of Debian's packages.
#
#   docker run -d --name dockferry --group-add "$(stat -c %g /var/run/docker.sock)" \
#     -v /var/run/docker.sock:/var/run/docker.sock -v dockferry:/var/lib/dockferry \
#     -e DOCKFERRY_SINK_LOKI=loki+http://loki:3100 dockferry
#
# It runs as nobody in particular (65532), who may not open the Engine's socket: --group-add lends it the
# socket's group. The socket's group differs from host to host, so no image can know it.
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
# A mirror of PyPI, where there is one.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY . .
# build/ca.crt is there when this network signs PyPI's certificate itself (see conf/image); it stays in this stage.
RUN if [ -e build/ca.crt ]; then export PIP_CERT=/src/build/ca.crt; fi \
 && python3 -m venv /tools \
 && /tools/bin/pip --quiet wheel --no-deps --wheel-dir /wheel . \
 && python3 -m venv --without-pip /opt/dockferry \
 && /tools/bin/pip --quiet --python /opt/dockferry/bin/python install /wheel/*.whl \
 && install --directory --mode=700 --owner=65532 --group=65532 /state/dockferry

FROM ${BASE}
COPY --from=build /opt/dockferry /opt/dockferry
# A named volume starts as a copy of this: empty, and nobody else's.
COPY --from=build --chown=65532:65532 /state/ /var/lib/
ENV PATH=/opt/dockferry/bin:$PATH
USER 65532:65532
VOLUME /var/lib/dockferry
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["dockferry", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["dockferry"]
CMD ["run"]
