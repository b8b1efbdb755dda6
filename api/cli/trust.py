"""The keys that are given with --key, read in one way by every command that verifies.

NAME+ID+BASE64     a verifier key of a log
did:key:…          the key of an issuer of credentials
FILE               a file: one key in each line, or the published list as JSON (`hours signing-keys list --json`)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from api.operations.usage_errors import UsageError
from replay.certificates.credential_keys import DID, CredentialKeyError, public_key_of
from replay.proof.keys import PublishedKeys
from replay.proof.notes import NoteError, VerifierKey
from replay.proof.policies import Policy, PolicyError

KEY_HELP = "a verifier key of the log, or a file: one key in each line, or the published list as JSON"


class GivenKeys(NamedTuple):
    """The keys that are believed: those of logs, those of issuers of credentials (did:key), and the published list with
    the sizes that each key signs, if that was given.
    """

    log: tuple[VerifierKey, ...] = ()
    issuers: tuple[str, ...] = ()
    published: PublishedKeys | None = None

    def policy(self, path: Path | None) -> Policy:
        """Return the policy of a file, None for none, with these keys of logs in place of its own if there are any.

        Raises:
            UsageError: the file cannot be read, or does not fit these keys.
        """
        try:
            found = Policy(()) if path is None else Policy.parse(read_file(path, "--policy"))
            return found.for_logs(self.log) if self.log else found
        except (NoteError, PolicyError) as error:
            raise UsageError(f"{'--key' if path is None else f'--policy {path}'}: {error}") from None


def read_keys(given: Sequence[str]) -> GivenKeys:
    """Read the values of --key.

    Raises:
        UsageError: one is not a key, nor a file of keys.
    """
    log: list[VerifierKey] = []
    issuers: list[str] = []
    published: PublishedKeys | None = None
    for each in given:
        content = each.encode() if _is_key(each) else read_file(Path(each), "--key")
        try:
            if content.lstrip().startswith(b"{"):
                published = PublishedKeys.from_json(content)
                log += published.verifier_keys
                continue
            for line in content.decode("utf-8", "replace").splitlines():
                if line.startswith(DID):
                    public_key_of(line.strip())
                    issuers.append(line.strip())
                elif line.strip() and not line.startswith("#"):
                    log.append(VerifierKey.parse(line))
        except (NoteError, CredentialKeyError) as error:
            raise UsageError(f"--key: {error}") from None
    return GivenKeys(tuple(log), tuple(issuers), published)


def read_file(path: Path, option: str) -> bytes:
    """Return the content of a file that was named.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be read: {error.strerror}; check the path") from None


def _is_key(text: str) -> bool:
    return text.startswith(DID) or ("+" in text and not Path(text).exists())
