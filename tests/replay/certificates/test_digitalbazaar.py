"""The credential is verified by npm's @digitalbazaar/vc too, offline, and refused after each change.

Optional: it needs node, and the packages of `node/package.json` in `node/node_modules` or in the folder that
CERTIFICATES_NODE names (`npm install --prefix tests/replay/certificates/node`). What it verified once is kept in
`vectors/`, which `test_credential.py` compares.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from replay.certificates import data_integrity
from tests.support.replay.certificates import changed_in_each_field

HERE = Path(__file__).parent
NODE = Path(os.environ.get("CERTIFICATES_NODE", HERE / "node"))
CREDENTIAL = json.loads((HERE / "vectors" / "credential.json").read_text("utf-8"))

if shutil.which("node") is None or not (NODE / "node_modules" / "@digitalbazaar" / "vc").is_dir():
    pytest.skip(
        "node or @digitalbazaar/vc is not installed: npm install --prefix tests/replay/certificates/node",
        allow_module_level=True,
    )


def verified(credentials: list[Any], folder: Path) -> list[bool]:
    """Return which of these credentials are verified."""
    program = folder / "verify.mjs"
    shutil.copy(HERE / "node" / "verify.mjs", program)
    (folder / "node_modules").symlink_to(NODE / "node_modules")
    contexts = Path(data_integrity.__file__).with_name("contexts")
    found = subprocess.run(
        ["node", str(program), str(contexts)],
        input=json.dumps(credentials),
        capture_output=True,
        text=True,
        check=True,
    )
    answers: list[bool] = json.loads(found.stdout)
    return answers


def test_the_credential_is_verified_and_after_each_change_refused(tmp_path: Path) -> None:
    changes = dict(changed_in_each_field(CREDENTIAL))
    first, *others = verified([CREDENTIAL, *changes.values()], tmp_path)
    assert first
    accepted = [name for name, answer in zip(changes, others, strict=True) if answer]
    assert not accepted
