# The image of every service of ours; which one it is, is said by the command (see docker-compose.yml).

FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /venv \
 && /venv/bin/pip install --quiet --no-cache-dir --require-hashes --no-deps -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY newsletter newsletter
COPY worker worker
COPY templates templates
# What builds the package is pinned in the lock as well, so nothing is fetched here.
RUN /venv/bin/pip install --quiet --no-cache-dir --no-build-isolation --no-index --no-deps .

FROM python:3.12-slim
RUN useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin newsletter \
 && install --directory --owner newsletter --group newsletter --mode 0700 /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NEWSLETTER_DATA_DIR=/data
# The send journal and the secret key live here: it must outlive the container.
VOLUME /data
WORKDIR /data
USER newsletter
EXPOSE 8000
ENTRYPOINT ["newsletter"]
CMD ["web", "--host", "0.0.0.0", "--port", "8000"]
