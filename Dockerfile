# One small image: cw on a slim Python. The keeper runs as PID 1 and reaps what sessions orphan.
#   docker build -t codewire .
#   docker run -d --name cw -v cw-data:/root/.codewire codewire
#   docker exec cw cw launch -- bash -c 'for i in 1 2 3; do echo $i; sleep 1; done'
ARG BASE=python:3-slim
FROM ${BASE}

COPY . /usr/src/codewire
# A virtual environment, because a distribution's own Python refuses plain pip installs (PEP 668).
RUN python3 -m venv /opt/codewire \
    && /opt/codewire/bin/pip install --no-cache-dir /usr/src/codewire \
    && ln -s /opt/codewire/bin/cw /usr/local/bin/cw \
    && rm -rf /usr/src/codewire

# Sessions start where no directory is asked for.
WORKDIR /root
STOPSIGNAL SIGTERM
ENTRYPOINT ["cw"]
CMD ["node"]
