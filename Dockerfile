# One small image: cw on a slim Python. The keeper runs as PID 1 and reaps what sessions orphan.
#   docker build -t codewire .
#   docker run -d --name cw -v cw-data:/data codewire
#   docker exec cw cw launch -- bash -c 'for i in 1 2 3; do echo $i; sleep 1; done'
# Runs as any user (--user 1000), and with a read-only root (--read-only --tmpfs /tmp).
# Where python:3-slim cannot be had: --build-arg BASE=IMAGE, any with Python >= 3.10; BUILDER is one
# that can make virtual environments, too (Debian: python3-venv), if BASE cannot.
ARG BASE=python:3-slim
ARG BUILDER=${BASE}

FROM ${BUILDER} AS build
COPY . /usr/src/codewire
# A virtual environment, because a distribution's own Python refuses plain pip installs (PEP 668);
# pip, which is as large as all the rest, stays in another.
RUN python3 -m venv --without-pip /opt/codewire \
    && python3 -m venv /opt/tools \
    && /opt/tools/bin/pip --python /opt/codewire/bin/python install --no-cache-dir /usr/src/codewire

FROM ${BASE}
COPY --from=build /opt/codewire /opt/codewire
# /data is writable for whoever the container runs as; the node's own files in it are private.
RUN ln -s /opt/codewire/bin/cw /usr/local/bin/cw \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* \
        /usr/local/lib/python3*/site-packages/setuptools* /usr/local/lib/python3*/ensurepip \
    && mkdir -m 1777 /data

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Codewire" \
    org.opencontainers.image.description="A persistent process server for AI coding agents" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.licenses="MIT"

# Sessions, their logs and what agents keep at home; sessions start here where no directory is named.
ENV HOME=/data
WORKDIR /data
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["cw", "node", "status"]
ENTRYPOINT ["cw"]
CMD ["node"]
