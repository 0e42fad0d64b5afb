"""The files of deploy/: valid by their schema, pinned, bounded, without a secret in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("trading-platform:")}
LASTING = {name: service for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"}


def test_the_file_is_valid_by_the_compose_specification() -> None:
    """By the published schema; a misspelt key is refused by it."""
    schema = json.loads((ROOT / "tests" / "data" / "compose-spec" / "compose-spec.json").read_text())
    judge = jsonschema.Draft7Validator(schema)
    judge.validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        judge.validate(COMPOSE | {"services": {"code": {"imagee": "x"}}})


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_pinned_and_bounded(name: str) -> None:
    """An image with a full version, limits of processor and memory; what lasts has a health check."""
    service = SERVICES[name]
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(?:-pg\d+)?", service["image"])
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    # alloy's image has no program that could ask it.
    assert ("healthcheck" in service) == (name in LASTING and name != "alloy")


@pytest.mark.parametrize("name", OURS)
def test_our_services_may_do_little(name: str) -> None:
    """Not root, nothing to write to but the data, no capability; in the image as in the file."""
    service = OURS[name]
    assert service["user"] == "10001:10001" and service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["data:/data"] and service["security_opt"] == ["no-new-privileges:true"]
    assert "USER 10001:10001" in (ROOT / "deploy" / "Dockerfile").read_text()


def test_only_the_proxy_is_reachable_from_elsewhere() -> None:
    """Grafana's port is the loopback's; the UI, metrics and the database have none."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"proxy": ["443:443"], "grafana": ["127.0.0.1:3001:3000"]}
    assert SERVICES["webserver"]["network_mode"] == "service:proxy"
    assert "--read-only" in SERVICES["webserver"]["command"]
    assert "basic_auth" in (ROOT / "deploy" / "compose" / "Caddyfile").read_text()


def test_secrets_are_files_that_are_not_in_the_tree() -> None:
    """No variable holds a password; each secret that a service uses is declared, and git ignores their folder."""
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or name.upper().endswith("_FILE"), name
            assert not re.search(r"://[^/@]*:[^/@]*@", value)
    assert "/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_recording_waits_for_nothing() -> None:
    """Neither the database nor Dagster can keep it from starting."""
    assert "depends_on" not in SERVICES["ingest"]


def test_files_that_services_mount_are_there() -> None:
    """And what is YAML among them can be read."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                path = ROOT / "deploy" / volume.split(":")[0]
                assert path.is_file()
                assert path.suffix not in {".yml", ".yaml"} or yaml.safe_load(path.read_text())


def test_the_image_is_made_from_the_locks() -> None:
    """With hashes, in stages, byte-compiled; and continuous integration runs what everybody runs."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert text.count("\nFROM ") + text.startswith("FROM ") == 2
    assert "--require-hashes --compile-bytecode -r requirements.lock" in text
    for copied in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["jobs"]["check"]["steps"][-1] == {"run": ".ci/run"}
