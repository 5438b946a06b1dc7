ARG BASE
FROM ${BASE}
RUN apt-get update -qq && apt-get install -qq --no-install-recommends prometheus >/dev/null && mkdir -p /prometheus
