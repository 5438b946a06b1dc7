"""The compose file and the dashboard, read without any container."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from cat_model import Verdict
from web.server.metrics import Metrics

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text("utf-8"))
SERVICES = COMPOSE["services"]


def test_the_parts_are_there_and_every_image_has_a_version():
    assert {"page", "store", "mlflow", "prometheus", "grafana"} <= set(SERVICES)
    foreign = [each["image"] for each in SERVICES.values() if each["image"] != "are-you-a-cat"]
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in foreign)


def test_nothing_listens_beyond_this_machine():
    ports = [port for each in SERVICES.values() for port in each.get("ports", ())]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_page_may_write_to_nothing_but_its_feedback():
    page = SERVICES["page"]
    assert page["read_only"]
    assert page["cap_drop"] == ["ALL"]
    assert page["volumes"] == ["feedback:/feedback"]


def test_mounted_files_exist():
    mounts = [each for service in SERVICES.values() for each in service.get("volumes", ()) if each[0] == "."]
    assert mounts
    for mount in mounts:
        source, _, mode = mount.split(":")
        assert (DEPLOY / source).exists()
        assert mode == "ro"


def test_prometheus_asks_the_page_and_grafana_asks_prometheus():
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    (target,) = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    name, port = target.split(":")
    assert SERVICES[name]["ports"][0].endswith(f":{port}")
    (source,) = yaml.safe_load(
        (DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8")
    )["datasources"]
    assert source["url"].removeprefix("http://").split(":")[0] in SERVICES
    sources = {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert sources == {source["uid"]}


@pytest.fixture
def told() -> str:
    """The names in /metrics once everything was counted."""
    metrics = Metrics()
    metrics.took("decode", 0.1)
    metrics.requested("page", 200, 0.1)
    metrics.refused("kind")
    metrics.watch_model(lambda: "1")
    for name in re.findall(
        r'metrics\.watch\(\s*"(\w+)"', (DEPLOY.parent / "web/server/app.py").read_text("utf-8")
    ):
        metrics.watch(name, "…", lambda: 0)
    metrics.answered(Verdict(0.9, True, False, "cat", "1"), np.zeros(1))
    return metrics.text().decode()


def test_the_dashboard_asks_for_what_the_page_counts(told):
    names = set(re.findall(r"^(cat_\w+)[ {]", told, re.MULTILINE))
    asked = set(re.findall(r"\bcat_\w+", json.dumps(DASHBOARD)))
    assert len(asked) >= 8
    assert asked <= names
    labels = set(re.findall(r'(\w+)="', told))
    by = {
        each for group in re.findall(r"by \(([^)]*)\)", json.dumps(DASHBOARD)) for each in group.split(", ")
    }
    assert by <= labels


def test_panels_do_not_overlap_and_their_identifiers_differ():
    panels = DASHBOARD["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)
