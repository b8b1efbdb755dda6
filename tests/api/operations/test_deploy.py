"""The files of deploy/: the reverse proxies' own checks of them, and a ledger served through each over TLS."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.access.roles import Role
from tests.support.api.serving import STATION, Served, listening
from tests.support.patience import PATIENCE_SECONDS

pytest_plugins = ["tests.support.api.fixtures"]
pytestmark = pytest.mark.slow

DEPLOY = Path(__file__).parents[3] / "deploy"
NAME = "hours.example.org"
NGINX, CADDY, OPENSSL = (
    shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in ("nginx", "caddy", "openssl")
)
needs_nginx = pytest.mark.skipif(not (NGINX and OPENSSL), reason="nginx or openssl is not installed")
needs_caddy = pytest.mark.skipif(not (CADDY and OPENSSL), reason="caddy or openssl is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for the example's name, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    command = f"{OPENSSL} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={NAME}"
    command += f" -addext subjectAltName=DNS:{NAME},IP:127.0.0.1 -keyout privkey.pem -out fullchain.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder


def nginx_config(folder: Path, certificate: Path, backend: int, plain: int, tls: int) -> Path:
    """Write the example with other ports and paths, within what a distribution's nginx.conf puts around it."""
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    text = text.replace("/etc/hours/tls", str(certificate)).replace("/var/log/nginx", str(folder))
    text = text.replace("127.0.0.1:8000", f"127.0.0.1:{backend}")
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
    text = text.replace("listen 80;", f"listen 127.0.0.1:{plain};").replace("listen 443", f"listen 127.0.0.1:{tls}")
    (folder / "hours.conf").write_text(text)
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{place}_temp_path {folder}/{place};\n" for place in places)
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;\n"
        f"events {{ worker_connections 256; }}\nhttp {{\n{temporary}include {folder}/hours.conf;\n}}\n"
    )
    return whole


def caddy_config(folder: Path, certificate: Path, backend: int, tls: int) -> Path:
    text = (DEPLOY / "Caddyfile").read_text("utf-8").replace("127.0.0.1:8000", f"127.0.0.1:{backend}")
    text = text.replace("{\n\tservers", "{\n\tadmin off\n\tauto_https off\n\tservers", 1)
    site = f"https://127.0.0.1:{tls} {{\n\ttls {certificate}/fullchain.pem {certificate}/privkey.pem"
    text = text.replace(f"{NAME} {{", site)
    (folder / "Caddyfile").write_text(text)
    return folder / "Caddyfile"


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """Run a proxy until the end of the block."""
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "output").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@contextmanager
def through_nginx(backend: int, folder: Path, certificate: Path) -> Iterator[int]:
    tls = free_port()
    config = nginx_config(folder, certificate, backend, free_port(), tls)
    checked = subprocess.run([str(NGINX), "-t", "-c", str(config)], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    with running([str(NGINX), "-c", str(config)], tls, folder):
        yield tls


@contextmanager
def through_caddy(backend: int, folder: Path, certificate: Path) -> Iterator[int]:
    tls = free_port()
    config = caddy_config(folder, certificate, backend, tls)
    with running([str(CADDY), "run", "--config", str(config), "--adapter", "caddyfile"], tls, folder):
        yield tls


@needs_caddy
def test_caddy_accepts_its_example() -> None:
    command = [str(CADDY), "validate", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile"]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    "proxy",
    [pytest.param(through_nginx, marks=needs_nginx), pytest.param(through_caddy, marks=needs_caddy)],
    ids=["nginx", "caddy"],
)
def test_a_ledger_is_served_through_the_proxy_over_tls(
    served: Served, tmp_path: Path, certificate: Path, proxy: Any
) -> None:
    trust = ssl.create_default_context(cafile=str(certificate / "fullchain.pem"))
    volunteers = [served.volunteer() for _ in range(3)]

    def scan(volunteer: str, number: int) -> dict[str, object]:
        at = f"2018-12-0{number}T09:00:00+08:00"
        return served.event("check-in", volunteer=volunteer, station=STATION, occurred_at=at)

    events = [scan(volunteer, number) for number, volunteer in enumerate(volunteers, 1)]
    station = served.headers(Role.STATION)
    with (
        listening(served) as server,
        proxy(server.port, tmp_path, certificate) as port,
        httpx2.Client(base_url=f"https://127.0.0.1:{port}", verify=trust, timeout=PATIENCE_SECONDS) as client,
    ):
        answer = client.get("/healthz")
        assert answer.status_code == 200, answer.text
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        one = client.post(
            "/v1/events", json=events[0], headers=station | {"Content-Type": "application/cloudevents+json"}
        )
        assert one.status_code == 201, one.text
        lines = "".join(json.dumps(event) + "\n" for event in events[1:])
        stream = client.post("/v1/events", content=lines, headers=station | {"Content-Type": "application/x-ndjson"})
        if proxy is through_caddy:  # Debian's is too old for streams
            assert (stream.status_code, "send batches" in stream.text) == (415, True)
            media_type = "application/cloudevents-batch+json"
            batch = client.post("/v1/events", json=events[1:], headers=station | {"Content-Type": media_type})
            outcomes = [each["outcome"] for each in batch.json()["answers"]]
        else:
            outcomes = [json.loads(line)["outcome"] for line in stream.text.splitlines()[:2]]
        assert outcomes == ["accepted", "accepted"]
        assert client.get("/v1/stations", headers=served.headers(Role.READER)).status_code == 200
        assert client.get("/v1/stations").status_code == 401
        large = client.post("/v1/commands/check-in", content=b"{" * (2 << 20), headers=station)
        assert large.status_code == 413
        wide = client.get("/healthz", headers={"X-Wide": "x" * 100_000})
        assert wide.status_code in {400, 431}
        upgraded = client.post(
            "/v1/events",
            content=b"GET /metrics HTTP/1.1\r\n\r\n",
            headers={**station, "Content-Type": "application/x-ndjson", "Upgrade": "h2c", "Connection": "Upgrade"},
        )
        assert upgraded.status_code != 101
        assert client.get("/healthz").status_code == 200  # no connection is out of step


@needs_nginx
def test_a_request_in_clear_is_redirected(served: Served, tmp_path: Path, certificate: Path) -> None:
    plain, tls = free_port(), free_port()
    config = nginx_config(tmp_path, certificate, 1, plain, tls)
    with running([str(NGINX), "-c", str(config)], tls, tmp_path):
        answer = httpx2.post(
            f"http://127.0.0.1:{plain}/v1/events", content=b"[]", headers={"Host": NAME}, timeout=PATIENCE_SECONDS
        )
        assert (answer.status_code, answer.headers["location"]) == (308, f"https://{NAME}/v1/events")
        assert httpx2.get(f"https://127.0.0.1:{tls}/healthz", verify=False, timeout=PATIENCE_SECONDS).status_code == 502


def test_the_unit_runs_the_command_line_as_a_user_without_rights() -> None:
    unit = (DEPLOY / "hours.service").read_text("utf-8")
    command = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert re.search(r"/hours --data /var/lib/hours serve --host 127\.0\.0\.1 --port 8000 --drain-seconds 20", command)
    for option in ("User=hours", "NoNewPrivileges=yes", "ProtectSystem=strict", "LimitNOFILE=65536", "UMask=0077"):
        assert option in unit.splitlines()


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_knows_every_line_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "hours.service"
    unit.write_text((DEPLOY / "hours.service").read_text("utf-8").replace("/opt/hours/current/bin/hours", "/bin/true"))
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], check=False, capture_output=True, text=True)
    assert "hours.service" not in checked.stderr, checked.stderr
